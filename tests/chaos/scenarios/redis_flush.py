"""Redis is emptied every few seconds under load, and once with 50 executions queued and nobody at work."""

import os
import signal
import time

from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "redis_flush"
PROMISE = "nothing is lost by FLUSHALL, and what is queued is taken up within 5 s"
SECONDS, EVERY_SECONDS, QUEUED = 60.0, 5.0, 50
TAKEN_UP_SECONDS = 5.0


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Flush under load, then with idle workers."""
    client = servers.witness(stack)
    stack.start_api()
    stack.start_workers(2, STRATA_WORKER_CONCURRENCY=30)
    client.publish("chain", "demo:latency=100", "demo:latency=100")
    client.publish("short", "demo")
    flushes = max(3, round(SECONDS * size / EVERY_SECONDS))
    with Load(client, "chain", per_second=20, seed=seed):
        for _ in range(flushes):
            time.sleep(EVERY_SECONDS if size >= 1 else 1.0)
            servers.flush(stack)
    stack.settle()
    took = _taken_up(stack)
    scores = books.check(stack, NAME, seed)
    scores.notes |= {"flushes": flushes, f"{QUEUED} queued, taken up after": f"{took:.1f} s"}
    scores.require(took <= TAKEN_UP_SECONDS, f"taken up after {took:.1f} s")
    scores.require(not client.refused, f"the API refused: {dict(client.refused)}")
    waits = [row[0] for row in stack.rows("SELECT extract(epoch FROM started_at - accepted_at)::float FROM executions")]
    scores.notes["longest wait for a start"] = f"{max(waits):.1f} s"
    return scores


def _taken_up(stack: Stack) -> float:
    """Seconds from a flush until 50 executions are claimed, whose permits came while no worker could take them."""
    for worker in stack.workers:
        os.killpg(worker.pid, signal.SIGSTOP)
    for _ in range(QUEUED):
        stack.client.submit("short")
    servers.flush(stack)
    started = time.monotonic()
    for worker in stack.workers:
        os.killpg(worker.pid, signal.SIGCONT)
    stack.until(lambda: stack.rows("SELECT count(*) FROM executions WHERE attempt = 0")[0][0] == 0)
    return time.monotonic() - started
