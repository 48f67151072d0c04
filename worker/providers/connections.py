"""Connections to providers, kept open for the next request; http.client opens them."""

import http.client
import os
import select
import socket
import ssl
from collections import defaultdict, deque
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from worker.calls import Call

#: How long a connect may take, in seconds.
CONNECT_SECONDS = 5.0
#: Idle connections kept to one origin, at most.
KEPT = 1000
#: Scheme, host and port.
Origin = tuple[str, str, int]


class Connections:
    """The idle connections of this process, by where they lead."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()
        self._idle: dict[Origin, deque[http.client.HTTPConnection]] = defaultdict(deque)
        self._closed = False

    def connect(self, origin: Origin, call: Call, *, seconds: float) -> http.client.HTTPConnection:
        """A connection for a call, which may cut it from now on; OSError where there is none."""
        connection = self._kept(origin)
        if connection is not None:
            call.attach(connection.sock)
            connection.sock.settimeout(seconds)
            return connection
        connection = self._new(origin)
        connection.timeout = min(CONNECT_SECONDS, seconds)
        connection.connect()
        call.attach(connection.sock)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(seconds)
        return connection

    def keep(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next request, or close it where there are enough."""
        idle = self._idle[origin]
        if len(idle) >= KEPT:
            connection.close()
            return
        idle.append(connection)
        # A call may come back from a layer that hung, when everything else is over.
        if self._closed:
            self._close_idle()

    def close(self) -> None:
        """Close every idle connection, and keep none any more."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        for idle in list(self._idle.values()):
            with suppress(IndexError):
                while idle:
                    idle.pop().close()

    def _kept(self, origin: Origin) -> http.client.HTTPConnection | None:
        idle = self._idle[origin]
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                return None
            if _is_quiet(connection.sock):
                return connection
            connection.close()

    def _new(self, origin: Origin) -> http.client.HTTPConnection:
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


def _is_quiet(connected: socket.socket | None) -> bool:
    # An idle connection with something to read has been closed, or says what nobody asked.
    if connected is None:
        return False
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return not poll.poll(0)


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    if "HTTPS_PROXY" not in os.environ and "https_proxy" not in os.environ:
        return None
    if proxy_bypass(host):
        return None
    found = urlsplit(getproxies().get(scheme, ""))
    return (found.hostname, found.port or 80) if found.hostname else None
