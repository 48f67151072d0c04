"""The same way with nothing on it: what an answer takes on these parts when all that the product is for is left out.

A route takes inputs, a task claims them, asks the model three times and writes each answer down: five commits, as ours.
There are no organizations, keys, turns, books, events, reports, faults or deadlines. What the product takes more is
what they cost.
"""

import asyncio
import json
import sys
import time

from deploy.local import ports
from tests.bench import client
from tests.bench.stack import MEASURED, OTHERS, Bench
from tests.waiting import until

LAYERS = 3
_TABLES = """
    DROP TABLE IF EXISTS skeleton_results, skeleton_executions;
    CREATE TABLE skeleton_executions
           (id bigserial PRIMARY KEY, uuid uuid UNIQUE, status text, attempt int DEFAULT 0, inputs json, output json);
    CREATE INDEX ON skeleton_executions (id) WHERE status = 'queued';
    CREATE TABLE skeleton_results (execution bigint, number int, output json, PRIMARY KEY (execution, number));
"""


def skeleton(bench: Bench, requests: int = 300) -> dict[str, float]:
    """One at a time, as the measurement of our own latency."""
    bench.query(_TABLES)
    everywhere = OTHERS | MEASURED
    # A broker's database of its own: permits of one are none of the other's.
    port, redis_url = ports.free(), f"{bench.environment['REDIS_URL'].rpartition('/')[0]}/1"
    gunicorn = f"-m gunicorn -k gthread --threads 100 --keep-alive 30 -b 127.0.0.1:{port} tests.bench.skeleton.api:app"
    celery = "-m celery -A tests.bench.skeleton.worker worker --without-gossip --without-mingle --loglevel WARNING"
    settings = {"REDIS_URL": redis_url}
    with (
        bench.everywhere(),
        bench.running("skeleton-api", sys.executable, *gunicorn.split(), cores=everywhere, **settings),
        bench.running("skeleton-worker", sys.executable, *celery.split(), cores=everywhere, **settings),
    ):
        found = until(lambda: _measured(f"http://127.0.0.1:{port}", requests), 60)
    return {"skeleton_wait_p50_ms": 1000 * sorted(found)[len(found) // 2]}


def _measured(url: str, requests: int) -> list[float]:
    try:
        return asyncio.run(_one_by_one(url, requests))
    except OSError:
        # It does not listen yet.
        time.sleep(0.2)
        return []


async def _one_by_one(url: str, requests: int) -> list[float]:
    request, body = client.head("POST", "/run"), json.dumps({"word": "hello"}).encode()
    async with client.connected(url, 1) as (connection,):
        for _ in range(20):
            await connection.send(request, body)
        timed = [await connection.timed(request, body) for _ in range(requests)]
    assert {status for status, _ in timed} == {200}
    return [seconds for _, seconds in timed]
