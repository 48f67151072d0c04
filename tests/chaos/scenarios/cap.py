"""An organization floods under a cap below the slots, and a worker dies: the cap holds, and others keep their slots."""

from tests.chaos import books, tenants
from tests.chaos.scores import Scores, percentile
from tests.chaos.stack import Stack

NAME = "cap"
PROMISE = "a cap is never exceeded, no place in it leaks, and beside it another waits twice the idle wait plus 20 ms"
FLOOD = 3_000
SINGLES = 40
SLOTS = 6
CAP = 4
ALLOWANCE_SECONDS = 0.02


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Measure beside a flood under its cap, then kill a worker in the middle of it."""
    stack.environment["STRATA_WORKER_CONCURRENCY"] = str(SLOTS)
    stack.start_api()
    stack.start_workers(1)
    stack.client.publish("short", "demo:latency=100")
    guest = tenants.newcomer(stack, "guest")
    guest.publish("short", "demo:latency=100")
    tenants.command(stack, "organizations", "limit", "default", "--max-running", str(CAP))
    singles = max(10, round(SINGLES * size))
    idle = tenants.waits(stack, tenants.one_by_one(guest, "short", singles))

    tenants.flood(stack.client, "short", max(200, round(FLOOD * size)))
    beside = tenants.waits(stack, tenants.one_by_one(guest, "short", singles))
    stack.start_workers(1, supervised=True)
    stack.workers[0].supervised = True
    stack.workers[0].kill()

    stack.client.join(guest)
    guest.close()
    scores = books.check(stack, NAME, seed)
    most = tenants.most_at_once(stack, "default")
    bound = 2 * percentile([each.seconds for each in idle], 95) + ALLOWANCE_SECONDS
    waited = percentile([each.seconds for each in beside], 95)
    scores.notes = {"most at once": most, "wait p95, ms": round(waited * 1000, 1), "bound, ms": round(bound * 1000, 1)}
    scores.require(most <= CAP, f"{most} ran at once under a cap of {CAP}")
    scores.require(most == CAP, f"only {most} of {CAP} places were used")
    scores.require(waited <= bound, f"waited {waited * 1000:.0f} ms, promised {bound * 1000:.0f} ms")
    return scores
