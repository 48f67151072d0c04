"""Streams of threads: what a thousand of them take in one API process, and how late the words come."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from deploy.local import ports
from shared import stream_tokens
from tests.bench import client
from tests.bench.stack import KEY, MEASURED, OTHERS, Bench, memory_mb
from tests.waiting import until

SECRET = "a key of the bench that signs stream tokens"
#: Words of an answer, and the pause before each in seconds.
WORDS, PAUSE_SECONDS = 100, 0.05


def streams(bench: Bench, followers: int = 1000, answers: int = 20) -> dict[str, float]:
    """So many streams of one API process, while some of their threads are answered: from the model to the reader."""
    bench.clear()
    settings = {
        "STRATA_SECRET_KEYS": SECRET,
        "STRATA_API_THREADS": str(followers + 100),
        "STRATA_STREAMS_PER_ORGANIZATION": "0",
    }
    port = ports.free()
    command = (sys.executable, "-m", "tests.bench.clock_model", str(port), str(WORDS), str(PAUSE_SECONDS))
    with (
        bench.running("clock", *command, cores=OTHERS),
        bench.api(cores=MEASURED, **settings) as pid,
        bench.worker(cores=OTHERS, OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1"),
    ):
        layer = {"kind": "prompt", "model": "clock", "prompt": "What time is it?", "stream": True}
        bench.request(
            "PUT", "/v2/pipelines/clock", {"properties": [{"name": "said", "layers": [layer]}], "output": "said"}
        )
        (organization,) = bench.query("SELECT id FROM organizations")
        late, memory = asyncio.run(_followed(bench, int(str(organization)), followers, answers, pid))
        until(lambda: bench.ended() == answers)
    late.sort()
    return {
        "streams_memory_mb": memory,
        "token_delay_p50_ms": 1000 * late[len(late) // 2],
        "token_delay_p99_ms": 1000 * late[len(late) * 99 // 100],
    }


async def _followed(
    bench: Bench, organization: int, followers: int, answers: int, pid: int
) -> tuple[list[float], float]:
    """How late each word came, and the memory of the process with all streams open."""
    threads = [uuid4() for _ in range(followers)]
    late: list[float] = []
    async with contextlib.AsyncExitStack() as opened:
        readers = [await opened.enter_async_context(_stream(bench.url, organization, each)) for each in threads]
        ends = [asyncio.create_task(_read(each, late)) for each in readers[:answers]]
        head = client.head("POST", "/v2/pipelines/clock/versions/latest/executions", Authorization=f"Bearer {KEY}")
        async with client.connected(bench.url, 1) as (connection,):
            for each in threads[:answers]:
                status, _ = await connection.send(head, json.dumps({"inputs": {}, "thread": str(each)}).encode())
                assert status == 202
        await asyncio.wait_for(asyncio.gather(*ends), 60)
        return late, memory_mb(pid)


@contextlib.asynccontextmanager
async def _stream(url: str, organization: int, thread: UUID) -> AsyncIterator[asyncio.StreamReader]:
    where = urlsplit(url)
    token, _ = stream_tokens.mint([SECRET], organization, thread, seconds=600)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(f"GET /stream/{thread} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"retry: 1000\n\n")
    assert b" 200 " in head, head
    try:
        yield reader
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, late: list[float]) -> None:
    """Read to the end of the run, and note how late each of its words is."""
    heard = 0
    while True:
        line = await reader.readline()
        now = time.monotonic_ns()
        assert line, "the stream broke off"
        if line.startswith(b"data: "):
            body = json.loads(line[6:])
            words = [int(each) for each in body.get("text", "").split()]
            heard += len(words)
            late += [(now - each) / 1e9 for each in words]
            if body["kind"] in ("done", "failure"):
                assert (body["kind"], heard) == ("done", WORDS), body
                return
