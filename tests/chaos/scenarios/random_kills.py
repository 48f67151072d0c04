"""Workers are killed one after the other, every few seconds, under load; a supervisor starts them again."""

import random
import time

from tests.chaos import books
from tests.chaos.client import Load
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "random_kills"
PROMISE = "nothing accepted is lost while one of two workers is killed every 1 to 5 s"
KILLS = 60


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Kill so many times; who is killed and when is the seed's."""
    generator = random.Random(seed)
    # An execution may meet many deaths here, and none of them is its fault.
    stack.environment["STRATA_MAX_DEATHS"] = "1000"
    stack.start_api()
    workers = stack.start_workers(2, supervised=True)
    stack.client.publish("chain", "demo:latency=200", "demo:latency=400", "demo:latency=200")
    with Load(stack.client, "chain", per_second=10, seed=seed):
        for _ in range(max(3, round(KILLS * size))):
            rest = time.monotonic() + generator.uniform(1.0, 5.0)
            stack.until(lambda rest=rest: time.monotonic() >= rest)
            victim = generator.choice(workers)
            if victim.alive:
                victim.kill()
    scores = books.check(stack, NAME, seed)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require(not stack.client.refused, f"the API refused: {dict(stack.client.refused)}")
    scores.require(scores.deaths, "no execution has met a death")
    return scores
