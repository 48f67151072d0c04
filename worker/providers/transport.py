"""HTTP for the openai package: keep-alive connections that have a wall-clock deadline and a size cap.

httpx2's own pool scans every connection at each request, and knows no deadline of a whole call; a read time-out is
one of a single read, and a provider that drips bytes holds a call for ever. Here each request runs inside a `Call`,
which somebody else can cut by shutting its socket.
"""

import http.client
import os
import select
import socket
import ssl
from collections import defaultdict, deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httptools
import httpx2

from worker.calls import Call
from worker.providers.response import Response

#: How long a connect may take, in seconds.
CONNECT_SECONDS = 5.0
#: Idle connections kept to one origin.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The call that a request belongs to, and how long it may take from now, in seconds."""

    call: Call
    seconds: float


#: Set around each request of the openai package, which has no way to hand it down.
bounds: ContextVar[Bounds] = ContextVar("bounds")


class Client(httpx2.Client):
    """A client that only sends: no cookies, redirects or authentication of its own."""

    def __init__(self, transport: "Transport") -> None:
        super().__init__(transport=transport, timeout=None, trust_env=False)
        self._sender = transport

    def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send a request; an error status is an answer like any other, a redirect is not followed."""
        response = self._sender.handle_request(request)
        response.request = request
        return response


class Transport(httpx2.BaseTransport):
    """Sends requests over connections that it keeps for the next; http.client opens them."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._tls = ssl.create_default_context()
        self._idle: dict[tuple[str, str, int], deque[http.client.HTTPConnection]] = defaultdict(
            lambda: deque(maxlen=KEPT)
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and read the whole answer; httpx2's errors."""
        limits = bounds.get()
        origin = (request.url.scheme, request.url.host, request.url.port or _port(request.url.scheme))
        try:
            connection = self._connected(origin, limits)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection in time", request=request) from error
        except OSError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        response = Response()
        whole = False
        try:
            # One write for head and body, or the server wakes up twice.
            connection.sock.sendall(_written(request))
            response.read(connection.sock, max_bytes=self._max_bytes)
            whole = limits.call.cut_by is None
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no answer in time", request=request) from error
        except (OSError, http.client.HTTPException, httptools.HttpParserError) as error:
            raise httpx2.RemoteProtocolError(f"the connection broke: {error!r}"[:200], request=request) from error
        finally:
            limits.call.detach()
            if whole and response.reusable:
                self._idle[origin].append(connection)
            else:
                connection.close()
        if not whole:
            # What was cut can look like an answer that ends with its connection.
            raise httpx2.ReadTimeout("the call was cut", request=request)
        # Left out, so that nobody unpacks it: the cap would be one of the packed size.
        fields = [field for field in response.headers if field[0].lower() != b"content-encoding"]
        return httpx2.Response(response.status, headers=fields, content=b"".join(response.body))

    def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _connected(self, origin: tuple[str, str, int], limits: Bounds) -> http.client.HTTPConnection:
        connection = self._kept(origin)
        if connection is not None:
            limits.call.attach(connection.sock)
            connection.sock.settimeout(limits.seconds)
            return connection
        connection = self._new(origin)
        connection.timeout = min(CONNECT_SECONDS, limits.seconds)
        connection.connect()
        limits.call.attach(connection.sock)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(limits.seconds)
        return connection

    def _kept(self, origin: tuple[str, str, int]) -> http.client.HTTPConnection | None:
        idle = self._idle[origin]
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                return None
            if _is_quiet(connection.sock):
                return connection
            connection.close()

    def _new(self, origin: tuple[str, str, int]) -> http.client.HTTPConnection:
        scheme, host, port = origin
        proxy = _proxy(scheme, host)
        if scheme == "http":
            # A plain-text provider is a server next door; a proxy is of no use to it.
            return http.client.HTTPConnection(host, port)
        if proxy is None:
            return http.client.HTTPSConnection(host, port, context=self._tls)
        connection = http.client.HTTPSConnection(*proxy, context=self._tls)
        connection.set_tunnel(host, port)
        return connection


def _written(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % field for field in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise http.client.InvalidURL("a line break in the head of a request")
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.read()


def _is_quiet(connected: socket.socket | None) -> bool:
    # An idle connection with something to read has been closed, or says what nobody asked.
    if connected is None:
        return False
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return not poll.poll(0)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    if "HTTPS_PROXY" not in os.environ and "https_proxy" not in os.environ:
        return None
    if proxy_bypass(host):
        return None
    found = urlsplit(getproxies().get(scheme, ""))
    return (found.hostname, found.port or 80) if found.hostname else None
