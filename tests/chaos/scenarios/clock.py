"""Workers and a beat whose clocks are two hours off, ahead and behind, beside one whose clock is right."""

import shutil
from datetime import UTC, datetime, timedelta

from tests.chaos import books
from tests.chaos.client import Load
from tests.chaos.hasty import LAUNCHER
from tests.chaos.scores import Scores, skipped
from tests.chaos.stack import Stack

NAME = "clock"
PROMISE = "processes two hours off steal no lease, end nothing early, and expire nothing early"
#: An hour: a clock that is two hours ahead would expire at once what ends now.
SETTINGS = {"STRATA_RESULT_SECONDS": 3600}
EXECUTIONS = 300
FAKETIME = shutil.which("faketime")


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Run a load, part of it scheduled, with beats that send their duties every second."""
    if FAKETIME is None:
        return skipped(NAME, seed, "there is no faketime on this machine (apt-get install faketime)")
    stack.start_api()
    for offset in ("+2h", "-2h"):
        launcher = (FAKETIME, "-f", offset, *LAUNCHER)
        # Nobody's monotonic clock is ever off, and a worker waits by it. faketime cannot leave it alone for a process
        # that sleeps, as beat does.
        stack.start("worker", launcher=launcher, FAKETIME_DONT_FAKE_MONOTONIC=1)
        stack.start("beat", wait=False, launcher=launcher)
    stack.start("worker", launcher=LAUNCHER)
    stack.client.publish("chain", "demo:latency=300", "demo:latency=300")
    due = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    for _ in range(10):
        stack.client.submit("chain", not_before=due)
    count = max(30, round(EXECUTIONS * size))
    with Load(stack.client, "chain", per_second=15, seed=seed, count=count) as load:
        stack.until(lambda: load.done, 120.0, what="the load")
    scores = books.check(stack, NAME, seed)
    stack.until(lambda: _duties(stack), what="the duties of a beat")
    early = stack.rows("SELECT count(*) FROM executions WHERE started_at < not_before")[0][0]
    kept = stack.rows("SELECT count(*) FROM contents")[0][0]
    writers = stack.rows("SELECT count(DISTINCT writer) FROM ledger WHERE after = 'running'")[0][0]
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require(not scores.deaths, f"{scores.deaths} leases were stolen")
    scores.require(not scores.excess_calls, f"{scores.excess_calls} excess calls")
    scores.require(not early, f"{early} executions started before their time")
    scores.require(kept == scores.accepted, f"{scores.accepted - kept} executions expired early")
    scores.require(writers == 3, f"{writers} of 3 workers have taken part")
    return scores


def _duties(stack: Stack) -> bool:
    return bool(stack.rows("SELECT 1 FROM duty_ledger WHERE duty = 'expiry' LIMIT 1"))
