"""Reads one HTTP response from a socket, with a cap on its size; the parser is llhttp's, by httptools."""

import socket
from http.client import IncompleteRead, LineTooLong

import httptools
import httpx2

#: Longest head, interim answers before it included, in bytes.
HEAD_BYTES = 1 << 15
_CHUNK_BYTES = 1 << 16
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
        self._size = 0
        self._head_read = False
        self._complete = False
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
        received = 0
        while not self._complete:
            data = connected.recv(_CHUNK_BYTES)
            if not data:
                self._end_with_connection()
                return
            received += len(data)
            self._feed(data)
            if not self._head_read and received > HEAD_BYTES:
                raise LineTooLong("head of the answer")
            if self._size > max_bytes:
                raise TooLarge(f"the answer is larger than {max_bytes} bytes")

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
            self._complete = True
            self._kept = bool(self._parser.should_keep_alive())

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
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
