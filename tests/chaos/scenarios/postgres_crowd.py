"""Three hundred idle connections stand beside those of the product."""

from tests.chaos import books, servers
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "postgres_crowd"
PROMISE = "300 idle connections beside the product's leave it at least 95 % of its rate"
CONNECTIONS, PAIRS = 300, 3


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Compare the rates."""
    client = servers.witness(stack)
    stack.start_api()
    stack.start_workers(2, STRATA_WORKER_CONCURRENCY=servers.SLOTS)
    pairs = servers.rates(stack, max(1, round(PAIRS * size)), lambda: servers.crowd(stack.database_url, CONNECTIONS))
    scores = books.check(stack, NAME, seed)
    servers.require_rate(scores, pairs)
    servers.require_honest_refusals(scores, client)
    return scores
