"""Postgres is restarted again and again under load, by a fast shutdown and as if it had crashed."""

import contextlib
import random
import signal
import time
from collections.abc import Iterator

from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "postgres_restart"
PROMISE = "a restart of Postgres costs no execution and no call, is answered 503, and afterwards the rate is as before"
RESTARTS, PAIRS = 12, 3
#: A server that is back is not caught up with at once: permits come every second.
CATCH_UP_SECONDS = 3.0
MOST_SECONDS_AWAY = 2.0
# Only an absence of more than a lease may cost a call.
SETTINGS = {"lease_seconds": 10.0}


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Restart under load; at full length compare the rates too."""
    generator = random.Random(seed)
    client = servers.witness(stack)
    stack.start_api()
    stack.start_workers(2, STRATA_WORKER_CONCURRENCY=servers.SLOTS)
    client.publish("chain", "demo:latency=300", "demo:latency=600")
    # Some wait for the end, and through a restart.
    with Load(client, "chain", per_second=15, seed=seed, threads=8, wait=lambda draw: draw.choice((0, 1, 10))):
        for number in range(max(2, round(RESTARTS * size))):
            time.sleep(generator.uniform(2.0, 6.0) if size >= 1 else 1.5)
            _restart(stack, (signal.SIGINT, signal.SIGQUIT)[number % 2], generator.uniform(0.0, MOST_SECONDS_AWAY))
        time.sleep(1.0)
    scores = books.check(stack, NAME, seed)
    servers.require_honest_refusals(scores, client)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    if size >= 1:
        servers.require_rate(scores, servers.rates(stack, PAIRS, lambda: _restarted(stack)))
    return scores


def _restart(stack: Stack, number: signal.Signals, seconds_away: float) -> None:
    servers.end_postgres(stack.postgres, number)
    time.sleep(seconds_away)
    stack.postgres.start()


@contextlib.contextmanager
def _restarted(stack: Stack) -> Iterator[None]:
    _restart(stack, signal.SIGINT, 0.0)
    time.sleep(CATCH_UP_SECONDS)
    yield
