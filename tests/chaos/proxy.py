"""A proxy between Strata's processes and a server, that can be told to be every kind of bad network.

It listens on a port of 127.0.0.1 and lives in a thread of its own. A connection that was once silenced stays so, as
if the host at its other end had vanished without a word: nobody closes it, and nothing that is sent ever arrives.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

Address = Path | tuple[str, int]
#: Bytes that are forwarded at once.
CHUNK = 1 << 16
POSTGRES_SOCKET = ".s.PGSQL.5432"


class Cut:
    """Cuts connections at a statement: `moment` is `before` it is forwarded, right `behind` it, or at its `answer`.

    A share of the statements that contain one of the needles is cut, at most `times` of them; `hits` counts.
    """

    def __init__(self, *needles: bytes, moment: str = "answer", share: float = 1.0, times: int = 1 << 30) -> None:
        self.needles = needles
        self.moment = moment
        self.hits = 0
        self._times = times
        self._share = share
        self._random = random.Random(1)

    def wants(self, sent: bytes) -> bool:
        """Say whether the connection that sends this is to be cut now."""
        if self.hits >= self._times or not any(needle in sent for needle in self.needles):
            return False
        if self._random.random() >= self._share:
            return False
        self.hits += 1
        return True


class Proxy:
    """Forwards connections to an address; its methods may be called from any thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._delay = 0.0
        self._silent = self._resetting = False
        self._left: int | None = None
        self._cut: Cut | None = None
        self._last_words: bytes | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._ask(self._serve)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def links(self) -> int:
        """Connections that it forwards now."""
        return len(self._links)

    def delay(self, seconds: float) -> None:
        """Hold every chunk up for so long, both ways."""
        self._delay = seconds

    def silence(self) -> None:
        """Let every byte of every connection vanish, and keep the connections; new ones are taken and silent too."""
        self._silent = True
        for link in list(self._links):
            link.silent = True

    def reset(self) -> None:
        """Reset every connection there is, and every new one until `heal`."""
        self._resetting = True
        self.drop_links()

    def drop_links(self) -> None:
        """Reset every connection there is; new ones are forwarded."""
        for link in list(self._links):
            self._loop.call_soon_threadsafe(link.abort)

    def cut_after(self, count: int) -> None:
        """Forward so many more bytes of the server's, of all connections together, then reset everything."""
        self._left = count

    def cut_at(self, cut: Cut) -> None:
        """Cut connections at statements until `heal`."""
        self._cut = cut

    def hang_up_at(self, words: bytes) -> None:
        """Forward what the server says up to a chunk with these words, then reset its connection, until `heal`."""
        self._last_words = words

    def heal(self) -> None:
        """Forward everything again; what was silenced stays silent, what was reset is gone."""
        self._delay, self._silent, self._resetting = 0.0, False, False
        self._left = self._cut = self._last_words = None

    def close(self) -> None:
        """Reset every connection and stop."""
        self._resetting = True
        self._ask(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def forward(self, link: "_Link", chunk: bytes, *, answers: bool) -> bool:
        """Do with a chunk what is to be done now; False where the connection has ended by it."""
        if self._delay:
            await asyncio.sleep(self._delay)
        if link.silent:
            return True
        return await (self._answer(link, chunk) if answers else self._query(link, chunk))

    async def _query(self, link: "_Link", chunk: bytes) -> bool:
        cut = self._cut
        if cut is None or not cut.wants(link.recent(chunk)):
            await link.send(chunk, answers=False)
            return True
        if cut.moment == "before":
            return False
        link.doomed = True
        await link.send(chunk, answers=False)
        return cut.moment == "answer"

    async def _answer(self, link: "_Link", chunk: bytes) -> bool:
        if link.doomed:
            return False
        if self._left is None:
            await link.send(chunk, answers=True)
            return self._last_words is None or self._last_words not in chunk
        chunk, self._left = chunk[: self._left], max(0, self._left - len(chunk))
        await link.send(chunk, answers=True)
        if not self._left:
            self.reset()
        return bool(self._left)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, reader, writer, silent=self._silent)
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self._resetting:
                await link.run(self._address)
        except (OSError, asyncio.CancelledError):
            # The server is away, or the proxy is being closed: the client sees a reset either way.
            pass
        finally:
            link.abort()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK, backlog=1024)

    async def _end(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, function: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(function(), self._loop).result(10.0)


class _Link:
    """One connection with its counterpart to the server."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, silent: bool
    ) -> None:
        self.silent = silent
        self.doomed = False
        self._proxy = proxy
        self._client = reader, writer
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._tail = b""

    async def run(self, address: Address) -> None:
        """Forward both ways until one side has ended, or for ever where the link is silent."""
        if not self.silent:
            self._server = await _connect(address)
        pumps = [asyncio.ensure_future(self._pump(self._client[0], answers=False))]
        if self._server:
            pumps.append(asyncio.ensure_future(self._pump(self._server[0], answers=True)))
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def recent(self, chunk: bytes) -> bytes:
        """A chunk with the end of the one before, so that a statement in two pieces is seen too, and only once."""
        found, self._tail = self._tail + chunk, chunk[-256:]
        if chunk.endswith(b"\0"):
            # Postgres's queries end so.
            self._tail = b""
        return found

    async def send(self, chunk: bytes, *, answers: bool) -> None:
        """Send a chunk to one of the two sides."""
        side = self._client if answers else self._server
        if side is not None and chunk:
            side[1].write(chunk)
            await side[1].drain()

    def abort(self) -> None:
        """Reset both sides."""
        for side in filter(None, (self._client, self._server)):
            opened = side[1].get_extra_info("socket")
            with contextlib.suppress(OSError):
                if opened is not None and opened.family != socket.AF_UNIX:
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side[1].transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, *, answers: bool) -> None:
        while chunk := await reader.read(CHUNK):
            if not await self._proxy.forward(self, chunk, answers=answers):
                return
        if self.silent and answers:
            # That the server has closed is nothing that a client could hear.
            await asyncio.Event().wait()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(str(address), limit=CHUNK)
    return await asyncio.open_connection(*address, limit=CHUNK)


@contextlib.contextmanager
def in_front_of(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of a server's URL, and the URL that goes through it."""
    where = urlsplit(url)
    folder = parse_qs(where.query).get("host")
    address: Address = Path(folder[0]) / POSTGRES_SOCKET if folder else (str(where.hostname), int(where.port or 0))
    login = where.netloc.rpartition("@")[0]
    with Proxy(address) as proxy:
        yield proxy, urlunsplit(where._replace(netloc=f"{login}@127.0.0.1:{proxy.port}", query=""))
