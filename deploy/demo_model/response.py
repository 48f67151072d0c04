"""The bytes of whole HTTP/1.1 answers, each made to leave in one write."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

JSON = "application/json"
#: What ends a body that is sent in chunks.
LAST_CHUNK = b"0\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


def head(status: int, fields: str) -> bytes:
    """Status line and headers; `fields` are header lines, each with its line end."""
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n{fields}\r\n".encode("latin-1", "replace")


def whole(status: int, body: bytes, *, content_type: str = JSON, fields: str = "") -> bytes:
    """An answer of known length."""
    return head(status, f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{fields}") + body


def document(status: int, value: Any, *, fields: str = "") -> bytes:
    """A value as JSON."""
    return whole(status, json.dumps(value).encode(), fields=fields)


def events(texts: Iterable[str], *, fields: str = "") -> bytes:
    """A complete stream of server-sent events, one chunk each, closed by OpenAI's `[DONE]`."""
    return events_head(fields=fields) + b"".join(event(text) for text in (*texts, "[DONE]")) + LAST_CHUNK


def events_head(*, fields: str = "") -> bytes:
    """What a stream of server-sent events begins with."""
    return head(200, f"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{fields}")


def event(text: str) -> bytes:
    """One server-sent event as a chunk."""
    frame = f"data: {text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def problem(status: int, message: str, *, code: str | None = None, kind: str | None = None, fields: str = "") -> bytes:
    """An error in OpenAI's shape."""
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    return document(status, {"error": error}, fields=fields)
