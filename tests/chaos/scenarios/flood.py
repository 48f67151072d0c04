"""One organization floods; what another one sends meanwhile is the next to be claimed."""

from tests.chaos import books, tenants
from tests.chaos.scores import Scores, percentile
from tests.chaos.stack import Stack

NAME = "flood"
PROMISE = "beside a flood of 10,000, another's execution waits twice the idle wait and until a slot is free at most"
FLOOD = 10_000
SINGLES = 40
SLOTS = 8


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Measure what single executions wait on an idle stack, and again beside the flood."""
    stack.start_api()
    stack.start_workers(1, STRATA_WORKER_CONCURRENCY=SLOTS)
    stack.client.publish("short", "demo:latency=100")
    guest = tenants.newcomer(stack, "guest")
    guest.publish("short", "demo:latency=100")
    singles = max(10, round(SINGLES * size))
    idle = tenants.waits(stack, tenants.one_by_one(guest, "short", singles))

    tenants.flood(stack.client, "short", max(200, round(FLOOD * size)))
    beside = tenants.one_by_one(guest, "short", singles)
    crowded = stack.unended()

    stack.client.join(guest)
    guest.close()
    scores = books.check(stack, NAME, seed)
    bound = 2 * percentile([each.seconds for each in idle], 95)
    over = percentile([each.seconds - each.until_free for each in tenants.waits(stack, beside)], 95)
    scores.notes = {
        "idle wait p95, ms": round(500 * bound, 1),
        "wait p95 beyond a free slot, ms": round(1000 * over, 1),
        "still queued behind the last of them": crowded,
    }
    scores.require(crowded, "the flood had drained before the measurement was over")
    scores.require(over <= bound, f"waited {over * 1000:.0f} ms beyond a free slot, promised {bound * 1000:.0f} ms")
    return scores
