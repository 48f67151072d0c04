"""A bare asyncio HTTP client: keep-alive, no library; the cheapest caller there is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer: status and body."""
        self._writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return int(answer[9:12]), await self._reader.readexactly(length)

    async def timed(self, head: bytes, body: bytes) -> tuple[int, float]:
        """Send a request; status and seconds until its answer was read."""
        started = time.perf_counter()
        status, _ = await self.send(head, body)
        return status, time.perf_counter() - started

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def one_by_one(url: str, head: bytes, body: bytes, count: int) -> list[float]:
    """Seconds of so many requests, each sent when the one before was answered, on one connection that is warm."""
    async with connected(url, 1) as (connection,):
        for _ in range(20):
            await connection.send(head, body)
        timed = [await connection.timed(head, body) for _ in range(count)]
    assert {status for status, _ in timed} == {200}
    return [seconds for _, seconds in timed]


@contextlib.asynccontextmanager
async def connected(url: str, count: int) -> AsyncIterator[list[Connection]]:
    """So many connections to a server."""
    where = urlsplit(url)
    opened = [Connection(*await asyncio.open_connection(where.hostname, where.port)) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def head(method: str, path: str, **headers: str) -> bytes:
    """The head of a request but for its length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n"
