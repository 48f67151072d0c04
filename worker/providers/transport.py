"""HTTP for the openai package: keep-alive connections that have a wall-clock deadline and a size cap.

httpx2's own pool scans every connection at each request, and knows no deadline of a whole call; a read time-out is
one of a single read, and a provider that drips bytes holds a call for ever. Here each request runs inside a `Call`,
which somebody else can cut by shutting its socket.
"""

import http.client
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httptools
import httpx2

from worker.calls import Call
from worker.providers.connections import Connections
from worker.providers.request import written
from worker.providers.response import Response, TooLarge

#: What an answer is that comes in events.
EVENTS = "text/event-stream"
#: The extension of a request that has the lines of its head.
HEAD = "strata.head"
#: How long the end of an answer is waited for whose reader has had enough, in seconds.
REST_SECONDS = 0.05


@dataclass(slots=True)
class Exchange:
    """The call that a request belongs to, how long it may take from now in seconds, and what came of it so far.

    Until it is `sent` nothing of it has left this machine; `headers` are those of the answer, by their names in small
    letters, once they are read.
    """

    call: Call
    seconds: float
    sent: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


#: Set around each request of the openai package, which has no way to hand it down.
exchange: ContextVar[Exchange] = ContextVar("exchange")


class Client(httpx2.Client):
    """A client that only sends: no cookies, redirects or authentication of its own."""

    def __init__(self, transport: "Transport") -> None:
        super().__init__(transport=transport, timeout=None, trust_env=False)
        self._sender = transport

    def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """Send a request; an error status is an answer like any other, a redirect is not followed.

        A stream is one whose body is read by whoever wants it, within the same bounds.
        """
        response = self._sender.stream(request) if stream else self._sender.handle_request(request)
        response.request = request
        return response


class Whole(httpx2.Response):
    """An answer that is read: httpx2 would take its body apart and put it together again.

    Of a good one it is told what it is, no more: reading every header took httpx2 longer than the body.
    """

    def __init__(self, reading: "Reading") -> None:
        self._body = reading.body
        headers = reading.headers if reading.status >= 300 else reading.kinds
        super().__init__(reading.status, headers=headers, stream=httpx2.ByteStream(self._body))
        self.is_closed = self.is_stream_consumed = True

    @property
    def content(self) -> bytes:
        """The body."""
        return self._body

    def read(self) -> bytes:
        """The body."""
        return self._body


class _Faults:
    """A block whose errors of the connection become httpx2's. A class: a generator costs as much as the reading."""

    def __init__(self, request: httpx2.Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            raise httpx2.ReadTimeout("no answer in time", request=self._request) from error
        if isinstance(error, OSError | http.client.HTTPException | httptools.HttpParserError):
            raise httpx2.RemoteProtocolError(f"the connection broke: {error!r}"[:200], request=self._request) from error


class Reading(httpx2.SyncByteStream):
    """One request on a connection, and its answer as it is read; httpx2's errors, whoever reads."""

    def __init__(
        self,
        request: httpx2.Request,
        current: Exchange,
        connection: http.client.HTTPConnection,
        keep: Callable[[], None],
        *,
        max_bytes: int,
    ) -> None:
        self._request = request
        self._faults = _Faults(request)
        self._current = current
        self._connection: http.client.HTTPConnection | None = connection
        self._socket: socket.socket = connection.sock
        self._keep = keep
        self._max_bytes = max_bytes
        self._response = Response()
        self._whole = False

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers but the content's encoding: nobody shall unpack it, the cap would be one of the packed size."""
        return [each for each in self._response.headers if each[0].lower() != b"content-encoding"]

    @property
    def kinds(self) -> list[tuple[bytes, bytes]]:
        """Of the headers those that say what the body is."""
        return [each for each in self._response.headers if each[0].lower() == b"content-type"]

    @property
    def body(self) -> bytes:
        """What was read of the body."""
        return b"".join(self._response.body)

    @property
    def has_events(self) -> bool:
        """True where the answer is good, and a stream of server-sent events."""
        kinds = self.kinds
        return self.status == 200 and bool(kinds) and kinds[0][1].decode("latin-1").startswith(EVENTS)

    def send(self) -> None:
        """Send the request."""
        request = self._request
        with self._faults:
            self._current.sent = True
            text = written(request.method, request.url.raw_path, request.extensions[HEAD], request.read())
            self._socket.sendall(text)

    def read(self) -> None:
        """Read until the end."""
        with self._faults:
            self._response.read(self._socket, max_bytes=self._max_bytes)
        self._finish()

    def read_head(self) -> None:
        """Read until the body begins."""
        with self._faults:
            self._response.read_head(self._socket, max_bytes=self._max_bytes)
        self._current.headers = _by_name(self._response.headers)

    def __iter__(self) -> Iterator[bytes]:
        """The body's pieces as they come."""
        with self._faults:
            yield from self._response.pieces(self._socket)
        self._finish()

    def close(self) -> None:
        """Keep the connection for the next request, or close it where something of the answer is still to come."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._whole and self._current.call.cut_by is None:
            self._read_rest()
        self._current.call.detach()
        if self._whole and self._response.reusable:
            self._keep()
        else:
            connection.close()

    def _read_rest(self) -> None:
        # Whoever reads a stream of events stops at the last one, a moment before the stream itself ends.
        with suppress(OSError, http.client.HTTPException, httptools.HttpParserError, TooLarge):
            ended = self._response.read_rest(self._socket, seconds=REST_SECONDS)
            self._whole = ended and self._current.call.cut_by is None

    def _finish(self) -> None:
        self._current.headers = _by_name(self._response.headers)
        self._whole = self._current.call.cut_by is None
        if not self._whole:
            # What was cut can look like an answer that ends with its connection.
            raise httpx2.ReadTimeout("the call was cut", request=self._request)


class Transport(httpx2.BaseTransport):
    """Sends requests over connections that are kept for the next."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._connections = Connections()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read the whole answer; httpx2's errors."""
        reading = self._sent(request)
        try:
            reading.read()
        finally:
            reading.close()
        return Whole(reading)

    def stream(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read the head of its answer; events are left to the reader, with httpx2's errors too.

        Anything else is read whole. How much is held of events is for their reader to bound.
        """
        reading = self._sent(request)
        try:
            reading.read_head()
            if reading.has_events:
                return httpx2.Response(reading.status, headers=reading.headers, stream=reading)
            reading.read()
        except BaseException:
            reading.close()
            raise
        reading.close()
        return Whole(reading)

    def close(self) -> None:
        """Close every idle connection."""
        self._connections.close()

    def _sent(self, request: httpx2.Request) -> "Reading":
        current = exchange.get()
        origin = (request.url.scheme, request.url.host, request.url.port or _port(request.url.scheme))
        try:
            connection = self._connections.connect(origin, current.call, seconds=current.seconds)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection in time", request=request) from error
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        keep = partial(self._connections.keep, origin, connection)
        reading = Reading(request, current, connection, keep, max_bytes=self._max_bytes)
        try:
            reading.send()
        except BaseException:
            reading.close()
            raise
        return reading


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
