"""One of two workers is killed under load; how long until what it was running is taken up again. Lease: 30 s."""

from tests.chaos.scenarios import recovery
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "recovery_default"
PROMISE = "what a dead worker was running is taken up within 40 s, with the default lease of 30 s"
SETTINGS = {"lease_seconds": 30.0}
KILLS = 3


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Kill a worker every 40 s or so; a supervisor starts it again."""
    kills = max(1, round(KILLS * size))
    return recovery.measured(stack, NAME, seed, kills=kills, pause_seconds=40.0, promised_seconds=40.0)
