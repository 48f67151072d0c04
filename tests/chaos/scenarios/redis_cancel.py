"""Executions are cancelled while Redis is away: no ring reaches the worker, and its heartbeat has to do."""

import threading
import time

from tests.chaos import books
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack
from tests.waiting import until

NAME = "redis_cancel"
PROMISE = "without Redis, a cancel closes the provider's connection within a heartbeat"
CANCELS, LEASE_SECONDS, MARGIN_SECONDS = 20, 6.0, 1.0
SETTINGS = {"lease_seconds": LEASE_SECONDS}


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Cancel one running execution after the other, at every phase of the heart's beat."""
    stack.start_api()
    stack.start_workers(1)
    stack.client.publish("long", "demo:latency=60000")
    uuids = [stack.client.submit("long") for _ in range(max(3, round(CANCELS * size)))]
    until(lambda: stack.in_flight() == len(uuids), what="the start of every call")
    stack.redis.stop()
    seconds = [_cancelled(stack, uuid, number) for number, uuid in enumerate(uuids) if uuid]
    stack.redis.start()
    scores = books.check(stack, NAME, seed)
    promised = LEASE_SECONDS / 6 + MARGIN_SECONDS
    scores.notes["cancels, slowest"] = f"{len(seconds)}, {max(seconds):.2f} s (promised {promised:g} s)"
    scores.require(max(seconds) <= promised, f"a call was closed after {max(seconds):.2f} s")
    wrong = stack.rows("SELECT count(*) FROM executions WHERE status <> 'cancelled'")[0][0]
    scores.require(not wrong, f"{wrong} executions are not cancelled")
    return scores


def _cancelled(stack: Stack, uuid: str, number: int) -> float:
    """Seconds from the request to cancel until the model has lost the caller."""
    # A phase of the beat that is another each time.
    time.sleep(0.13 * (number % 7))
    before, started = stack.in_flight(), time.monotonic()
    # The API waits for the worker's word, which it cannot hear.
    threading.Thread(target=stack.client.cancel, args=(uuid,)).start()
    until(lambda: stack.in_flight() < before, what="the end of the call")
    return time.monotonic() - started
