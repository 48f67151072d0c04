"""Random connections of the product are terminated by Postgres, five a second, under load."""

import time

from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "postgres_kills"
PROMISE = "backends that are killed 5 times a second cost no execution and no call"
SECONDS, A_SECOND = 60.0, 5


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Kill backends under load."""
    client = servers.witness(stack)
    stack.start_api()
    stack.start_workers(2)
    client.publish("chain", "demo:latency=100", "demo:latency=200")
    killed = 0
    with Load(client, "chain", per_second=20, seed=seed):
        for _ in range(round(A_SECOND * max(4.0, SECONDS * size))):
            time.sleep(1 / A_SECOND)
            killed += servers.kill_a_backend(stack)
    scores = books.check(stack, NAME, seed)
    scores.notes["backends killed"] = killed
    servers.require_honest_refusals(scores, client)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require(killed, "no backend was killed")
    return scores
