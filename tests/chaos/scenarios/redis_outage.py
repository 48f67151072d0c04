"""Redis goes away in every way: stopped, restarted empty, frozen, and its host gone without a word."""

import time
from collections.abc import Callable

from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.proxy import in_front_of
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "redis_outage"
PROMISE = "while Redis is away every POST is answered 202 in under 1 s, and all is drained within 35 s of its return"
SECONDS = 30.0
RESET_SECONDS, OUTAGE_SECONDS = 5.0, 35.0


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """One outage after the other; the last goes through a proxy, as it must not be seen."""
    seconds = max(2.0, SECONDS * size)
    scores = Scores(NAME, seed)
    client = servers.witness(stack)
    _start(stack)
    _suffer(stack, scores, "stopped", lambda: _stopped(stack, seconds), OUTAGE_SECONDS)
    _suffer(stack, scores, "restarted", lambda: _stopped(stack, 0.0), RESET_SECONDS)
    _suffer(stack, scores, "frozen", lambda: _frozen(stack, seconds), OUTAGE_SECONDS)
    while stack.processes:
        stack.end(stack.processes[-1])
    with in_front_of(stack.redis.url) as (proxy, url):
        stack.environment["REDIS_URL"] = url
        _start(stack)

        def vanish() -> None:
            proxy.silence()
            time.sleep(seconds)
            servers.flush(stack)
            proxy.heal()

        _suffer(stack, scores, "vanished", vanish, OUTAGE_SECONDS)
        found = books.check(stack, NAME, seed)
    found.notes, found.broken = scores.notes, [*scores.broken, *found.broken]
    found.require(not client.refused, f"the API refused: {dict(client.refused)}")
    found.require(not found.failed, f"{found.failed} executions failed")
    return found


def _start(stack: Stack) -> None:
    stack.start_api()
    stack.start_workers(2, STRATA_WORKER_CONCURRENCY=16)
    stack.client.publish("chain", "demo:latency=100", "demo:latency=100")


def _suffer(stack: Stack, scores: Scores, what: str, outage: Callable[[], None], promised: float) -> None:
    """Submit before and during an outage; count from its end."""
    before = len(stack.client.seconds)
    with Load(stack.client, "chain", per_second=20, seed=scores.seed):
        time.sleep(1.0)
        outage()
    servers.drained(stack, promised, what=what, scores=scores)
    servers.require_quick_answers(scores, stack.client.seconds[before:], what)
    scores.require(not stack.client.refused, f"{what}: the API refused: {dict(stack.client.refused)}")


def _stopped(stack: Stack, seconds: float) -> None:
    stack.redis.stop()
    time.sleep(seconds)
    stack.redis.start()


def _frozen(stack: Stack, seconds: float) -> None:
    assert stack.redis.child is not None
    with servers.frozen(stack.redis.child.pid):
        time.sleep(seconds)
