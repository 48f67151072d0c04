"""Sends a customer's HTTP request to somewhere else: never to a private address, never longer than it may take.

A host is resolved once, every address of it must be allowed, and the connection is made to one of these: nobody is
asked again, who could answer otherwise. Redirects are answers like any other, and proxies are not used, or either would
lead to where nobody has looked.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping

import httptools

from shared import addresses, headers, urls
from shared.errors import LayerFailed
from shared.outside import Request
from shared.outside import Response as Fetched
from shared.urls import Url
from worker.alarms import Alarms
from worker.calls import DEADLINE, Call
from worker.providers.connections import CONNECT_SECONDS
from worker.providers.request import written
from worker.providers.response import Response, TooLarge
from worker.resolving import Place, resolve
from worker.running import Run


class Fetcher:
    """Sends requests for the whole process, each over a connection of its own."""

    def __init__(self, allowed_networks: tuple[str, ...], alarms: Alarms) -> None:
        self._allowed = addresses.networks(allowed_networks)
        self._alarms = alarms
        self._tls = ssl.create_default_context()

    def fetch(self, request: Request, *, run: Run, seconds: float, key: str) -> Fetched:
        """Send a request and read its whole answer, whatever its status.

        All but a GET have the key as their `Idempotency-Key`, unless they bring one: what a worker sent that died is
        sent again by the next, and whoever serves it can tell. LayerFailed where there is no answer: `http_refused`
        before anything was sent, `http_unreachable`, `http_timeout`, `http_too_large`. Stopped when the run is to stop.
        """
        url, head = _checked(request, key)
        with run.call() as call:
            try:
                response = self._timed(url, head, request.max_bytes, call, seconds)
            except LayerFailed:
                run.check()
                raise
            run.check()
        return _read(response)

    def tell(self, request: Request, *, seconds: float, key: str) -> Fetched:
        """Send a request of no execution, and read its answer as far as it may be long; errors as above."""
        url, head = _checked(request, key)
        return _read(self._timed(url, head, request.max_bytes, Call(), seconds, whole=False))

    def _timed(
        self, url: Url, head: bytes, max_bytes: int, call: Call, seconds: float, *, whole: bool = True
    ) -> Response:
        alarm = self._alarms.after(max(seconds, 0.0), lambda: call.cut(DEADLINE))
        try:
            return self._exchanged(url, head, max_bytes, call, whole=whole)
        except TooLarge as error:
            raise LayerFailed("http_too_large", str(error)) from error
        except (OSError, http.client.HTTPException, httptools.HttpParserError) as error:
            raise _failed(url, error, call, seconds) from error
        finally:
            call.detach()
            alarm.cancel()

    def _exchanged(self, url: Url, head: bytes, max_bytes: int, call: Call, *, whole: bool) -> Response:
        places = resolve(url.host, url.port, call)
        for place in places:
            if not addresses.may_reach(place.address, self._allowed):
                # Which address it is would tell a stranger how the network looks from inside.
                raise LayerFailed("http_refused", f"{url.host} has an address that may not be reached from here")
        response = Response()
        with self._connected(url, places, call) as connected:
            connected.sendall(head)
            try:
                response.read(connected, max_bytes=max_bytes)
            except TooLarge:
                if whole:
                    raise
        if call.cut_by is not None:
            # What was cut can look like an answer that ends with its connection.
            raise TimeoutError("the call was cut")
        return response

    def _connected(self, url: Url, places: list[Place], call: Call) -> socket.socket:
        plain = _reached(places, call)
        if url.scheme == "http":
            return plain
        # The name is checked against the certificate; the handshake is made on the new socket, which can be cut.
        secured = plain
        try:
            secured = self._tls.wrap_socket(plain, server_hostname=url.host, do_handshake_on_connect=False)
            call.attach(secured)
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


def _checked(request: Request, key: str) -> tuple[Url, bytes]:
    try:
        url, settable = urls.read(request.url), _settable(request.headers)
    except ValueError as error:
        raise LayerFailed("http_refused", str(error)) from error
    body = request.body or b""
    fields = {"Host": url.authority, "User-Agent": "Strata", "Accept": "*/*"}
    if request.method != "GET":
        fields["Idempotency-Key"] = key
    fields |= settable | {"Accept-Encoding": "identity", "Connection": "close"}
    if request.body is not None or request.method not in ("GET", "DELETE"):
        fields["Content-Length"] = str(len(body))
    head = [f"{name}: {value}".encode(errors="replace") for name, value in fields.items()]
    return url, written(request.method, url.target.encode("ascii"), head, body)


def _settable(given: Mapping[str, str]) -> dict[str, str]:
    for name, value in given.items():
        headers.check_name(name)
        headers.check_value(value)
    return {_DEFAULTS.get(name.lower(), name): value for name, value in given.items()}


#: So that a header replaces the one that is sent without it.
_DEFAULTS = {each.lower(): each for each in ("User-Agent", "Accept", "Idempotency-Key")}


def _reached(places: list[Place], call: Call) -> socket.socket:
    """Connect to the first address that answers."""
    last: OSError = OSError("it has no address")
    for place in places:
        connected = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            connected.settimeout(CONNECT_SECONDS)
            call.attach(connected)
            connected.connect(place.sockaddr)
            if call.cut_by is not None:
                # It was cut before there was a connection to shut.
                raise TimeoutError("the call was cut")
            # From here on it is the call's deadline alone that counts.
            connected.settimeout(None)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connected.close()
            last = error
        else:
            return connected
        if call.cut_by is not None:
            break
    raise last


def _failed(url: Url, error: Exception, call: Call, seconds: float) -> LayerFailed:
    if call.cut_by == DEADLINE:
        return LayerFailed("http_timeout", f"{url.host} gave no whole answer in {seconds:.1f} s")
    if isinstance(error, TimeoutError):
        return LayerFailed("http_timeout", f"{url.host} could not be connected to in {CONNECT_SECONDS:g} s")
    if isinstance(error, socket.gaierror):
        return LayerFailed("http_unreachable", f"{url.host} could not be resolved: {error.strerror}")
    return LayerFailed("http_unreachable", f"the connection to {url.host} broke: {error!r}"[:300])


def _read(response: Response) -> Fetched:
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return Fetched(response.status, found, b"".join(response.body))
