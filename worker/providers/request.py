"""Writes the head and body of one HTTP/1.1 request, as one piece."""

import http.client
from collections.abc import Iterable


def written(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The bytes of a request; http.client.InvalidURL where a line break would let its head say something else.

    One piece for one write, or the server wakes up twice.
    """
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), target)]
    lines += [b"%s: %s" % field for field in headers]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise http.client.InvalidURL("a line break in the head of a request")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
