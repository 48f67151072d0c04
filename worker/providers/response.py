"""Reads one HTTP response from a socket, with a cap on its size; the parser is llhttp's, by httptools."""

import socket
import sys
import time
from collections.abc import Iterator
from http.client import IncompleteRead, LineTooLong

import httptools
import httpx2

#: Longest head, interim answers before it included, in bytes.
HEAD_BYTES = 1 << 15
_CHUNK_BYTES = 1 << 16
#: How much of what nobody wants is read for the end that comes after it, in bytes.
_REST_BYTES = 4096
_FRAMING = (b"content-length", b"transfer-encoding")


class TooLarge(httpx2.TransportError):
    """The answer is larger than the cap; the rest of it was not read.

    One of httpx2's own, because the openai package lets any other pass without a word of its own.
    """


class Response:
    """A response as far as it has been read; httptools calls the methods that start with `on_`."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self._messages = 0
        self._received = 0
        self._size = 0
        self._head_read = False
        self._complete = False
        self._over = False
        self._kept = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def status(self) -> int:
        """The status code."""
        return int(self._parser.get_status_code())

    @property
    def reusable(self) -> bool:
        """True where the connection may carry another request: the response had an end, and nothing follows it."""
        return self._complete and self._messages == 1 and self._kept

    def read(self, connected: socket.socket, *, max_bytes: int) -> None:
        """Read until the end; TooLarge over the cap, http.client's or httptools' errors where it is none."""
        while not self._over:
            self._receive(connected, max_bytes)

    def read_head(self, connected: socket.socket, *, max_bytes: int) -> None:
        """Read as far as the body, of which something may have come too; errors as above."""
        while not (self._head_read or self._over):
            self._receive(connected, max_bytes)

    def pieces(self, connected: socket.socket) -> Iterator[bytes]:
        """Give what has come of the body, and go on reading until the end, however large; errors as above."""
        while True:
            body, self.body = self.body, []
            yield from body
            if self._over:
                return
            self._receive(connected, sys.maxsize)

    def read_rest(self, connected: socket.socket, *, seconds: float) -> bool:
        """Read on for so long, where nobody wants what is left; True where the end was among it. Errors as above."""
        until = time.monotonic() + seconds
        while not self._over and (left := until - time.monotonic()) > 0:
            connected.settimeout(left)
            self._receive(connected, self._size + _REST_BYTES)
        return self._over

    def on_message_begin(self) -> None:
        """A response begins; one with a status of 1xx comes before the real one."""
        self._messages += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if not self._complete:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is read; what follows is its body, or after a 1xx the next head."""
        self._head_read = self.status >= 200

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self._complete:
            self.body.append(data)
            self._size += len(data)

    def on_message_complete(self) -> None:
        """The response has ended, as its own headers count."""
        if self.status < 200:
            self._messages -= 1
            self.headers.clear()
        else:
            self._complete = self._over = True
            self._kept = bool(self._parser.should_keep_alive())

    def _receive(self, connected: socket.socket, max_bytes: int) -> None:
        data = connected.recv(_CHUNK_BYTES)
        if not data:
            self._end_with_connection()
            return
        self._received += len(data)
        self._feed(data)
        if not self._head_read and self._received > HEAD_BYTES:
            raise LineTooLong("head of the answer")
        if self._size > max_bytes:
            raise TooLarge(f"the answer is larger than {max_bytes} bytes")

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            # Not one of the parser's errors. Nobody has asked for another protocol.
            raise httptools.HttpParserError("the server goes over to another protocol") from error
        except httptools.HttpParserError:
            # After the end it is what nobody asked for: the answer stands, the connection is not used again.
            if not self._complete:
                raise
            self._messages += 1

    def _end_with_connection(self) -> None:
        # Without a length of its own a body ends where the connection does; anything else has lost its end.
        framed = any(name.lower() in _FRAMING for name, _ in self.headers)
        if not self._messages or framed or not self.headers:
            raise IncompleteRead(b"".join(self.body[:1])[:100])
        self._over = True
