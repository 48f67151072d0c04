"""The broker's host vanishes without a word, and comes back empty: idle workers listen to connections that are dead."""

import time

from tests.chaos import books, servers
from tests.chaos.proxy import Proxy, in_front_of
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack
from tests.waiting import until

NAME = "redis_half_open"
PROMISE = "idle workers whose broker has vanished without closing a connection work again within 35 s of its return"
#: How long the host is away: a rebooted container, a failover, a long outage.
ABSENCES, EXECUTIONS, PROMISED_SECONDS = (0.0, 12.0, 30.0, 60.0), 5, 35.0


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Vanish for ever longer; the first alone where the size is small."""
    seconds = {}
    with in_front_of(stack.redis.url) as (proxy, url):
        stack.environment["REDIS_URL"] = url
        client = servers.witness(stack)
        stack.start_api()
        stack.start_workers(2)
        client.publish("short", "demo")
        for absence in ABSENCES[: max(1, round(len(ABSENCES) * size))]:
            seconds[absence] = _resumed(stack, proxy, absence)
        scores = books.check(stack, NAME, seed)
    scores.notes["resumed"] = ", ".join(f"{took:.1f} s after {absence:g} s away" for absence, took in seconds.items())
    servers.require_quick_answers(scores, client.seconds, "while deaf")
    scores.require(max(seconds.values()) <= PROMISED_SECONDS, f"resumed after {max(seconds.values()):.1f} s")
    scores.require(not client.refused, f"the API refused: {dict(client.refused)}")
    return scores


def _resumed(stack: Stack, proxy: Proxy, absence: float) -> float:
    """Seconds from the host's return until everything that was submitted since has ended."""
    proxy.silence()
    time.sleep(absence)
    servers.flush(stack)
    proxy.heal()
    started = time.monotonic()
    for _ in range(EXECUTIONS):
        stack.client.submit("short")
    until(lambda: not stack.unended(), 2 * PROMISED_SECONDS, what="the end of what was submitted")
    return time.monotonic() - started
