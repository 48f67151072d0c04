"""Faults that happen to the servers, and what the API says while they last."""

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import psycopg2
import redis

from deploy.local.postgres import Postgres
from tests.chaos import ledger
from tests.chaos.client import Client, Load
from tests.chaos.scores import Scores, percentile
from tests.chaos.stack import KEY, Stack
from tests.waiting import until

#: What is promised to somebody who posts while Redis is away, in seconds.
ACCEPT_SECONDS = 1.0
#: How the completion rate is compared: slots a worker, a layer's milliseconds, executions that wait, seconds that are
#: counted. The slots are what bounds it, and not the machine.
SLOTS, LATENCY_MS, BACKLOG, COUNTED_SECONDS = 6, 400, 600, 12.0


class Witness(Client):
    """A client that keeps every answer of 500 and above."""

    def __init__(self, url: str, key: str = KEY, **options: Any) -> None:
        super().__init__(url, key, **options)
        self.troubles: list[httpx2.Response] = []

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """Send a request; None where no whole answer came."""
        answer = super().request(method, path, **options)
        if answer is not None and answer.status_code >= 500:
            self.troubles.append(answer)
        return answer


def witness(stack: Stack) -> Witness:
    """Put a witness in the place of the stack's client."""
    stack.client.close()
    stack.client = found = Witness(stack.url)
    return found


def require_honest_refusals(scores: Scores, client: Witness) -> None:
    """Whatever was refused got 503 with a time to come again, no connection was dropped, and no outcome hushed up."""
    wrong = [f"{each.status_code} {each.text[:200]}" for each in client.troubles if each.status_code != 503]
    scores.require(not wrong, f"{len(wrong)} answers of 500 and above that are no 503, such as {wrong[:1]}")
    deaf = sum("Retry-After" not in each.headers for each in client.troubles)
    scores.require(not deaf, f"{deaf} refusals without Retry-After")
    others = {status: count for status, count in client.refused.items() if status != 503}
    scores.require(not others, f"requests that failed: {others}")
    hidden, unsure = scores.ended - scores.accepted, sum("outcome is unknown" in each.text for each in client.troubles)
    scores.require(hidden <= unsure, f"{hidden} executions that no client was told of, {unsure} answers that said so")
    scores.notes["refused with 503, of these with an unknown outcome"] = f"{client.refused[503]}, {unsure}"


def require_quick_answers(scores: Scores, seconds: list[float], what: str) -> None:
    """Every POST was accepted within a second."""
    slowest = max(seconds, default=float("nan"))
    scores.notes[f"{what}: {len(seconds)} POSTs, p99 and slowest"] = f"{percentile(seconds, 99):.3f} s, {slowest:.3f} s"
    scores.require(slowest < ACCEPT_SECONDS, f"{what}: a POST took {slowest:.2f} s")


def flush(stack: Stack) -> None:
    """Empty Redis."""
    with redis.Redis.from_url(stack.redis.url) as connection:
        connection.flushall()


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does nothing during the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def end_postgres(postgres: Postgres, number: signal.Signals) -> None:
    """Stop Postgres: SIGINT is a fast shutdown, SIGQUIT an immediate one, as if it had crashed."""
    assert postgres.child is not None
    postgres.child.send_signal(number)
    postgres.child.wait(30.0)


def drained(stack: Stack, seconds: float, *, what: str, scores: Scores) -> None:
    """Note how long it takes until everything has ended, and require that it takes no longer than promised."""
    started = time.monotonic()
    with contextlib.suppress(TimeoutError):
        until(lambda: not stack.unended(), seconds + 30.0)
    took = time.monotonic() - started
    scores.notes[f"{what}: drained after"] = f"{took:.1f} s"
    scores.require(took <= seconds, f"{what}: drained after {took:.1f} s, promised {seconds:g} s")


def rates(
    stack: Stack, pairs: int, disturbed: Callable[[], contextlib.AbstractContextManager[object]]
) -> list[tuple[float, float]]:
    """Executions completed a second without and with a disturbance, one run of each after the other."""
    stack.client.publish("paced", f"demo:latency={LATENCY_MS}")
    return [(_rate(stack, contextlib.nullcontext), _rate(stack, disturbed)) for _ in range(pairs)]


def require_rate(scores: Scores, found: list[tuple[float, float]], *, least: float = 0.95) -> None:
    """The median of what is left of the rate, pair by pair, is as promised."""
    ratio = statistics.median(with_it / without for without, with_it in found)
    scores.notes["executions a second, undisturbed and disturbed"] = ", ".join(
        f"{without:.1f} and {with_it:.1f}" for without, with_it in found
    )
    scores.notes["median ratio"] = f"{ratio:.3f}"
    scores.require(ratio >= least, f"{100 * ratio:.1f} % of the undisturbed rate, promised {100 * least:g} %")


def _rate(stack: Stack, disturbed: Callable[[], contextlib.AbstractContextManager[object]]) -> float:
    """Have more waiting than the slots can do in the time, disturb, and count what is completed from then on."""
    with Load(stack.client, "paced", per_second=300, seed=0, threads=8):
        stack.until(lambda: stack.unended() >= BACKLOG, 120.0, what="a backlog")
    with disturbed():
        first = _ended(stack)
        time.sleep(COUNTED_SECONDS)
        rate = (_ended(stack) - first) / COUNTED_SECONDS
    assert stack.unended(), "the backlog was too short to count by"
    stack.settle()
    return rate


def _ended(stack: Stack) -> int:
    return int(stack.rows("SELECT count(*) FROM executions WHERE status = 'succeeded'")[0][0])


@contextlib.contextmanager
def crowd(url: str, count: int) -> Iterator[None]:
    """So many idle connections besides those of the product."""
    with contextlib.ExitStack() as exits:
        for _ in range(count):
            exits.enter_context(contextlib.closing(psycopg2.connect(url)))
        yield


def kill_a_backend(stack: Stack) -> int:
    """Terminate a random backend that serves the product; returns how many were."""
    with ledger.connected(stack.database_url) as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE gone) FROM (SELECT pg_terminate_backend(pid) AS gone FROM (SELECT pid"
            " FROM pg_stat_activity WHERE application_name LIKE 'strata %' ORDER BY random() LIMIT 1) AS one) AS ended"
        )
        return int(cursor.fetchone()[0])
