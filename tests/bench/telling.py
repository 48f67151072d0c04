"""How many webhooks one process tells in a second: a backlog before it, receivers that answer at once."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator

from tests.bench.stack import MEASURED, OTHERS, Bench, cpu_seconds
from tests.waiting import until

_SETTINGS = {
    "STRATA_SECRET_KEYS": "a key of the bench that seals secrets",
    "STRATA_ALLOWED_NETWORKS": "127.0.0.0/8",
}
WEBHOOKS = 10
_OWE = """
    INSERT INTO deliveries (organization_id, webhook_id, event, subject, data)
    SELECT w.organization_id, w.id, 'execution.ended', gen_random_uuid(),
           json_build_object('id', number, 'status', 'succeeded', 'environment', 'default')
      FROM webhooks w CROSS JOIN generate_series(1, {each}) AS number
"""


def webhooks(bench: Bench, deliveries: int = 4000) -> dict[str, float]:
    """Ten webhooks with a backlog, one process alone on one core."""
    with _sink() as url, _forgotten(bench):
        with bench.api(cores=OTHERS, **_SETTINGS):
            for number in range(WEBHOOKS):
                bench.request("POST", "/v2/webhooks", {"url": f"{url}/{number}", "events": ["execution.ended"]})
        bench.query(_OWE.format(each=deliveries // WEBHOOKS))
        with bench.worker(cores=MEASURED, STRATA_QUEUES="webhooks", **_SETTINGS) as pid:
            until(lambda: _delivered(bench) > deliveries / 20, seconds=60)
            first, started, used = _delivered(bench), time.perf_counter(), cpu_seconds(pid)
            until(lambda: _delivered(bench) == deliveries, seconds=120)
            seconds, used = time.perf_counter() - started, cpu_seconds(pid) - used
    done = deliveries - first
    return {"deliveries_per_second": done / seconds, "cpu_ms_per_delivery": 1000 * used / done}


@contextlib.contextmanager
def _forgotten(bench: Bench) -> Iterator[None]:
    """Nobody wants to be told before the block, or after: every end would owe ten of them a notice."""
    statements = ("TRUNCATE deliveries CASCADE", "DELETE FROM webhooks")
    for each in statements:
        bench.query(each)
    try:
        yield
    finally:
        for each in statements:
            bench.query(each)


def _delivered(bench: Bench) -> int:
    return int(str(bench.query("SELECT count(*) FROM deliveries WHERE status = 'delivered'")[0]))


@contextlib.contextmanager
def _sink() -> Iterator[str]:
    """Somebody who answers 204 to every request, and closes."""
    ready, found = threading.Event(), {}

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        json.loads(await reader.readexactly(int(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(hear, "127.0.0.1", 0, backlog=512)
        found["port"], found["loop"], found["stop"] = (
            server.sockets[0].getsockname()[1],
            asyncio.get_running_loop(),
            asyncio.Event(),
        )
        ready.set()
        async with server:
            await found["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sink")
    thread.start()
    ready.wait(10)
    try:
        yield f"http://127.0.0.1:{found['port']}"
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join()
