"""Every worker is stopped and started again, one after the other under load; then the API, with clients waiting."""

import threading
import time
from datetime import UTC, datetime, timedelta

from deploy.local import ports
from tests.chaos import books
from tests.chaos.client import Client, Load
from tests.chaos.processes import Process
from tests.chaos.scores import Scores
from tests.chaos.stack import KEY, Stack

NAME = "rolling_restart"
PROMISE = "a restart of everything, one process after the other, fails nothing and repeats no call"
ROUNDS = 5
#: Clients that wait for an end that comes while the API drains, and as many that wait for one that does not.
WAITING = 10
#: From TERM to the end of an API process, in seconds: nobody waits so long for an answer.
DRAIN_SECONDS = 25.0


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Restart the workers so many times, and the API as often; each call is shorter than the drain."""
    api = stack.start_api()
    workers = stack.start_workers(3)
    stack.client.publish("chain", "demo:latency=300", "demo:latency=600", "demo:latency=300")
    stack.client.publish("slow", "demo:latency=3000")
    codes: list[int] = []
    drains: list[float] = []
    with Load(stack.client, "chain", per_second=12, seed=seed):
        for _ in range(max(1, round(ROUNDS * size))):
            for worker in workers:
                worker.terminate()
                codes.append(worker.exit_code())
                worker.start()
            successor = stack.start_api(PORT=ports.free())
            drains.append(_replace(stack, api, successor))
            api = successor
    scores = books.check(stack, NAME, seed)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require(not scores.excess_calls, f"{scores.excess_calls} excess calls")
    scores.require(not scores.deaths, f"{scores.deaths} deaths were counted")
    scores.require(not any(codes), f"workers ended with {codes}")
    scores.require(not stack.client.refused, f"answers other than 200 and 202: {dict(stack.client.refused)}")
    scores.require(max(drains) <= DRAIN_SECONDS, f"an API process drained for {max(drains):.0f} s")
    scores.notes["restarts"] = f"{len(codes)} workers, {len(drains)} API processes with {2 * WAITING} clients waiting"
    scores.notes["longest drain"] = f"{max(drains):.1f} s of an API process"
    return scores


def _replace(stack: Stack, old: Process, new: Process) -> float:
    """Stop an API process that clients wait at, new requests going elsewhere; returns how long it took."""
    waiting = Client(f"http://127.0.0.1:{old.port}", KEY)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    threads = [threading.Thread(target=waiting.submit, args=("slow",), kwargs={"wait": 30}) for _ in range(WAITING)]
    threads += [
        threading.Thread(target=waiting.submit, args=("chain",), kwargs={"wait": 60, "not_before": later})
        for _ in range(WAITING)
    ]
    before = _count(stack, "waiting")
    for thread in threads:
        thread.start()
    stack.until(lambda: _count(stack, "waiting") == before + WAITING and stack.in_flight() >= WAITING, what="waits")
    stack.client.turn_to(f"http://127.0.0.1:{new.port}")
    started = time.monotonic()
    old.terminate()
    for thread in threads:
        thread.join()
    old.exit_code()
    waiting.close()
    stack.client.join(waiting)
    for uuid in stack.rows("SELECT uuid::text FROM executions WHERE status = 'waiting'"):
        stack.client.cancel(*uuid)
    return time.monotonic() - started


def _count(stack: Stack, status: str) -> int:
    return int(stack.rows("SELECT count(*) FROM executions WHERE status = %s", status)[0][0])
