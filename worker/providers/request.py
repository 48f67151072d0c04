"""Writes the head and body of one HTTP/1.1 request, as one piece."""

import http.client
from collections.abc import Iterable, Mapping


def lines(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Headers as lines of a request's head, by name; UnicodeEncodeError, a ValueError, where one is not ASCII."""
    return {name: f"{name}: {value}".encode("ascii") for name, value in headers.items()}


def written(method: str, target: bytes, head: Iterable[bytes], body: bytes) -> bytes:
    """The bytes of a request with these lines; http.client.InvalidURL where a line break would let them say more.

    One piece for one write, or the server wakes up twice.
    """
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), target), *head]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise http.client.InvalidURL("a line break in the head of a request")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
