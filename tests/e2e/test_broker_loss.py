"""Redis is emptied; what was accepted goes on."""

import pytest
import redis

from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def flush(servers):
    def flush():
        with redis.Redis.from_url(servers["REDIS_URL"]) as client:
            client.flushall()

    return flush


def test_what_is_queued_survives_the_loss_of_every_permit(start, execute, flush, statuses):
    for number in range(50):
        execute(chain("demo"), film=f"Film {number}")

    flush()
    start("worker")

    until(lambda: statuses() == {"succeeded": 50})


def test_a_worker_goes_on_after_redis_was_emptied_under_it(start, execute, flush, statuses):
    start("worker", STRATA_WORKER_CONCURRENCY=2)
    for number in range(20):
        execute(chain("demo:latency=300"), film=f"Film {number}")
    until(lambda: statuses().get("succeeded"))

    flush()

    until(lambda: statuses() == {"succeeded": 20})
    execute(chain("demo"), film="Afterwards")
    until(lambda: statuses() == {"succeeded": 21}, seconds=5)
