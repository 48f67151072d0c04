"""One of two workers is killed under load; how long until what it was running is taken up again. Lease: 5 s."""

import random
import time

from tests.chaos import books
from tests.chaos.client import Load
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "recovery"
PROMISE = "what a dead worker was running is taken up within 10 s, with a lease of 5 s"
SETTINGS = {"lease_seconds": 5.0}
KILLS = 8


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Kill a worker every 10 s or so; a supervisor starts it again."""
    return measured(stack, NAME, seed, kills=max(1, round(KILLS * size)), pause_seconds=10.0, promised_seconds=10.0)


def measured(
    stack: Stack, name: str, seed: int, *, kills: int, pause_seconds: float, promised_seconds: float
) -> Scores:
    """Kill a worker under load so many times and measure each recovery."""
    generator = random.Random(seed)
    stack.start_api()
    workers = stack.start_workers(2, supervised=True)
    stack.client.publish("chain", "demo:latency=500", "demo:latency=500", "demo:latency=500")
    with Load(stack.client, "chain", per_second=12, seed=seed):
        for _ in range(kills):
            victim = generator.choice(workers)
            stack.until(lambda victim=victim: victim.writer in stack.running().values(), what="a victim's claim")
            victim.kill()
            rest = time.monotonic() + pause_seconds * generator.uniform(0.8, 1.2)
            stack.until(lambda rest=rest: time.monotonic() >= rest, 2 * pause_seconds)
    scores = books.check(stack, name, seed)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require_recovery(promised_seconds)
    return scores
