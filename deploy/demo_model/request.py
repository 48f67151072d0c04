"""One HTTP/1.1 request read from a connection's buffer; only the headers that matter here are kept."""

import re
from dataclasses import dataclass

from deploy.demo_model.errors import Malformed

MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_HEADER = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|x-strata-[a-z-]+):[ \t]*([^\r\n]*)", re.IGNORECASE
)


@dataclass(slots=True)
class Request:
    """What a client asks; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


def take(buffer: bytearray) -> Request | None:
    """Remove the first whole request from the buffer; None while it is not whole yet. Raises Malformed."""
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        if len(buffer) > _MAX_HEAD_BYTES:
            raise Malformed(431, "the request's head is too large")
        return None
    head = bytes(buffer[:head_end])
    headers = {name.lower().decode(): value.decode("latin-1").rstrip() for name, value in _HEADER.findall(head)}
    found = _body(buffer, head_end + 4, headers)
    if found is None:
        return None
    body, end = found
    request = _request(head, headers, body)
    del buffer[:end]
    return request


def _request(head: bytes, headers: dict[str, str], body: bytes) -> Request:
    line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(line) != 3 or not line[2].startswith("HTTP/1."):
        raise Malformed(400, "the request line is not HTTP/1.1")
    method, target, version = line
    path, _, query = target.partition("?")
    keep_alive = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Request(method, path, query, headers, body, keep_alive)


def _body(buffer: bytearray, start: int, headers: dict[str, str]) -> tuple[bytes, int] | None:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunked(buffer, start)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Malformed(400, "Content-Length is no number")
    end = start + int(length)
    if end - start > MAX_BODY_BYTES:
        raise Malformed(413, "the request's body is too large")
    return (bytes(buffer[start:end]), end) if len(buffer) >= end else None


def _chunked(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    """Join the chunks (RFC 9112, section 7.1); extensions and trailers are skipped."""
    body = bytearray()
    while (line_end := buffer.find(b"\r\n", start)) >= 0:
        try:
            size = int(bytes(buffer[start:line_end]).partition(b";")[0], 16)
        except ValueError as error:
            raise Malformed(400, "a chunk's size is no number") from error
        if size == 0:
            return _after_trailers(buffer, line_end, bytes(body))
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise Malformed(413, "the request's body is too large")
        start = line_end + 2 + size + 2
        if len(buffer) < start:
            return None
        body += buffer[line_end + 2 : start - 2]
    return None


def _after_trailers(buffer: bytearray, last_line_end: int, body: bytes) -> tuple[bytes, int] | None:
    # The last chunk's own line end counts as the first half of the blank line when there are no trailers.
    end = buffer.find(b"\r\n\r\n", last_line_end)
    return (body, end + 4) if end >= 0 else None
