"""A process dies at a named point, for each point, at its first passing and at its second."""

import random
from collections import Counter

from tests.chaos.points import POINTS, Point
from tests.chaos.scores import Scores, say
from tests.chaos.situations import SITUATIONS
from tests.chaos.stack import Stack
from tests.chaos.trials import Trial

NAME = "crash_points"
PROMISE = f"a process may die at any of {len(POINTS)} points, and all promises hold"
#: More deaths than a trial has: what is promised for the last one is `poison`'s to show.
SETTINGS = {"lease_seconds": 3.0, "STRATA_MAX_DEATHS": 9}


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Try so large a part of the points, which ones is the seed's."""
    trials = [(point, passing) for point in POINTS.values() for passing in point.passings]
    if size < 1:
        trials = random.Random(seed).sample(trials, max(1, round(len(trials) * size)))
    return tried(stack, trials, seed=seed)


def tried(stack: Stack, trials: list[tuple[Point, int]], *, seed: int) -> Scores:
    """Try points one after the other on the same servers."""
    total = Scores(NAME, seed)
    excess: Counter[str] = Counter()
    passed = 0
    for number, (point, passing) in enumerate(trials, start=1):
        _prepare(stack)
        scores = Trial(stack, point, passing).run(SITUATIONS[point.situation], seed)
        passed += not scores.broken
        excess[point.name] += scores.excess_calls
        scores.broken = [f"{point.name}, passing {passing}: {each}" for each in scores.broken]
        total.add(scores)
        say(f"  {number} of {len(trials)}: {point.name}, passing {passing}: {scores.verdict}")
    # In most trials nobody is there to take over until the trial has started somebody.
    total.recoveries.clear()
    total.notes["points"] = f"{passed} of {len(trials)} passed"
    total.notes["excess calls"] = ", ".join(f"{name} {count}" for name, count in excess.items() if count) or "none"
    return total


def _prepare(stack: Stack) -> None:
    for each in [*stack.processes]:
        stack.end(each)
    stack.clear()
    stack.start_api()
    stack.client.publish("short", "demo:latency=150", "demo:latency=150")
    stack.client.publish("long", "demo:latency=2500", "demo")
    stack.client.publish("endless", "demo:mode=silent")
