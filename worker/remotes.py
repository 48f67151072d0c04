"""Talks to servers of the Model Context Protocol, by the `mcp` package: never at a private address, never too long.

A server is resolved once, and the package may connect to nothing but the address that was checked. It is asynchronous;
each talk has a loop of its own, in the thread of the layer that wants something.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx2

from shared import addresses, headers, json_schema, urls
from shared.errors import LayerFailed
from shared.outside import Server
from shared.urls import Url
from worker.alarms import Alarms
from worker.calls import DEADLINE, Call
from worker.providers.connections import CONNECT_SECONDS
from worker.providers.response import TooLarge
from worker.resolving import Place, resolve
from worker.running import Run

if TYPE_CHECKING:
    from mcp.client.client import Client

T = TypeVar("T")
#: What a server may say in one talk, in bytes, and offer in pages and tools.
MOST_BYTES = 8 << 20
MOST_PAGES = 20
MOST_TOOLS = 500
_ANYTHING = {"type": "object", "properties": {}}


class Remotes:
    """Talks for the whole process, each over connections of its own."""

    def __init__(self, allowed_networks: tuple[str, ...], alarms: Alarms) -> None:
        self._allowed = addresses.networks(allowed_networks)
        self._alarms = alarms
        self._tls = ssl.create_default_context()
        # What they tell of a talk is in its words: addresses with their queries, and pieces of answers.
        for name in ("mcp", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def listed(self, server: Server, *, run: Run, seconds: float) -> list[dict[str, Any]]:
        """What a server offers: `name`, `description` and `parameters` of each tool; LayerFailed where it cannot say.

        A schema that is none, or could take for ever, stands as one of anything.
        """
        return self._talk(server, _listed, run=run, seconds=seconds)

    def called(self, server: Server, name: str, arguments: Mapping[str, Any], *, run: Run, seconds: float) -> str:
        """The text of what a server's tool gives; LayerFailed where there is none, or the server says that it failed.

        Stopped when the run is to stop.
        """

        async def call(client: "Client") -> Any:
            return await client.call_tool(name, dict(arguments))

        found = self._talk(server, call, run=run, seconds=seconds)
        text = _text(found)
        if found.is_error:
            raise LayerFailed("tool_failed", text or "the server gave no reason")
        return text

    def _talk(self, server: Server, talk: "Callable[[Client], Awaitable[T]]", *, run: Run, seconds: float) -> T:
        url = _read(server)
        with run.call() as call:
            alarm = self._alarms.after(max(seconds, 0.0), lambda: call.cut(DEADLINE))
            try:
                place = self._checked(url, call)
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    call.attach(theirs)
                    return asyncio.run(_talked(server, _Pinned(url, place, self._tls), ours, talk))
            except LayerFailed:
                raise
            except Exception as error:
                # The package raises its own, its schemas' and its transport's errors, alone or in groups.
                run.check()
                raise _failed(url, error, call, seconds) from error
            finally:
                call.detach()
                alarm.cancel()

    def _checked(self, url: Url, call: Call) -> Place:
        places = resolve(url.host, url.port, call)
        for place in places:
            if not addresses.may_reach(place.address, self._allowed):
                raise LayerFailed("http_refused", f"{url.host} has an address that may not be reached from here")
        return places[0]


class _Cut(Exception):
    """The talk was cut from outside."""


class _Pinned(httpx2.AsyncHTTPTransport):
    """Sends requests for one origin to one address, and reads only so much of what comes back."""

    def __init__(self, url: Url, place: Place, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._url = url
        self._address = str(place.address)
        self._left = MOST_BYTES

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; httpx2's errors where it leads elsewhere, or the answer is compressed."""
        asked = urls.read(str(request.url))
        if asked[:3] != self._url[:3]:
            raise httpx2.ConnectError("the server leads to somewhere else", request=request)
        # The certificate is still that of the name.
        extensions = {**request.extensions, "sni_hostname": self._url.host}
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=self._address),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        response = await super().handle_async_request(pinned)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("the answer is compressed", request=request)
        response.stream = _Bounded(self, response.stream)  # type: ignore[arg-type]
        return response

    def count(self, size: int) -> None:
        """Take so many bytes in; TooLarge where they are too many."""
        self._left -= size
        if self._left < 0:
            raise TooLarge(f"the server says more than {MOST_BYTES} bytes")


class _Bounded(httpx2.AsyncByteStream):
    """A body that is counted."""

    def __init__(self, transport: _Pinned, stream: httpx2.AsyncByteStream) -> None:
        self._transport = transport
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._transport.count(len(piece))
            yield piece

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._stream.aclose()


async def _talked(
    server: Server, transport: _Pinned, cut: socket.socket, talk: "Callable[[Client], Awaitable[T]]"
) -> T:
    # Imported where it is needed: it costs most of a second, and most workers never do.
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    cut.setblocking(False)
    found: list[T] = []

    async with anyio.create_task_group() as group:

        async def watch() -> None:
            with suppress(OSError):
                await asyncio.get_running_loop().sock_recv(cut, 1)
            group.cancel_scope.cancel()

        group.start_soon(watch)
        sent = {"Accept-Encoding": "identity", "User-Agent": "Strata"}
        if server.token is not None:
            sent["Authorization"] = f"Bearer {server.token}"
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        async with (
            httpx2.AsyncClient(transport=transport, headers=sent, timeout=timeout, trust_env=False) as sender,
            Client(streamable_http_client(server.url, http_client=sender), cache=None) as client,
        ):
            found.append(await talk(client))
        group.cancel_scope.cancel()
    if not found:
        raise _Cut
    return found[0]


async def _listed(client: "Client") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += [
            {"name": each.name, "description": each.description, "parameters": _schema(each.input_schema)}
            for each in page.tools
        ]
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST_TOOLS:
            break
    return found[:MOST_TOOLS]


def _schema(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or found.get("type") != "object":
        return dict(_ANYTHING)
    try:
        json_schema.check(found)
    except json_schema.Unfit:
        return dict(_ANYTHING)
    return found


def _text(found: Any) -> str:
    parts = [each.text if each.type == "text" else f"({each.type})" for each in found.content]
    if not parts and found.structured_content is not None:
        return str(found.structured_content)
    return "\n".join(parts)


def _read(server: Server) -> Url:
    try:
        if server.token is not None:
            headers.check_value(server.token)
        return urls.read(server.url)
    except ValueError as error:
        raise LayerFailed("http_refused", str(error)) from error


def _failed(url: Url, error: BaseException, call: Call, seconds: float) -> LayerFailed:
    if call.cut_by == DEADLINE:
        return LayerFailed("http_timeout", f"{url.host} gave no whole answer in {seconds:.1f} s")
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, socket.gaierror):
        return LayerFailed("http_unreachable", f"{url.host} could not be resolved: {error.strerror}")
    if isinstance(error, TooLarge):
        return LayerFailed("http_too_large", str(error))
    if isinstance(error, httpx2.TransportError | OSError):
        return LayerFailed("http_unreachable", f"the connection to {url.host} broke: {error!r}"[:300])
    return LayerFailed("tool_failed", f"{url.host} does not speak as it should: {error}"[:1000])
