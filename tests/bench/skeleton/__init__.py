"""The same way with nothing on it: what an answer takes on these parts when all that the product is for is left out.

A route takes inputs, a task claims them, asks the model three times and writes each answer down: five commits, as ours.
There are no organizations, keys, turns, books, events, reports, faults or deadlines. What the product takes more is
what they cost.
"""

import asyncio
import contextlib
import json
import statistics
import sys

from deploy.local import ports
from tests.bench import client
from tests.bench.stack import MEASURED, OTHERS, Bench
from tests.waiting import until

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
    return {"skeleton_wait_p50_ms": 1000 * statistics.median(found)}


def _measured(url: str, requests: int) -> list[float]:
    request, body = client.head("POST", "/run"), json.dumps({"word": "hello"}).encode()
    # Until it listens.
    with contextlib.suppress(ConnectionError):
        return asyncio.run(client.one_by_one(url, request, body, requests))
    return []
