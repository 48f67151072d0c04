import pytest
import redis
from sqlalchemy import text

from shared import broker, db, liveness
from shared.liveness import Liveness
from tests import factories
from tests.factories import source
from tests.waiting import until

CLONES = """
    INSERT INTO executions (uuid, organization_id, version_id, status, queue, rank, deadline_at)
    SELECT gen_random_uuid(), organization_id, version_id, status, queue, rank, deadline_at
      FROM executions, generate_series(1, :count)
"""


@pytest.fixture
def queues(database, settings):
    """The Redis behind the broker."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def backlog(organization, publish, queues, settings):
    """A thousand queued executions, and an empty broker."""
    publish(source())
    factories.accept(organization)
    factories.change(CLONES, count=999)
    sent(settings)
    queues.flushall()


def sent(settings):
    """Wait until every hint so far has left this process."""
    broker.close()
    broker.connect(settings)


def permits(settings, rounds=1):
    for _ in range(rounds):
        with db.transaction() as connection:
            liveness.permits(connection)
    sent(settings)


def test_permits_are_no_more_than_twice_the_slots_however_long_the_backlog(backlog, queues, settings):
    factories.enter_worker(slots=4)

    permits(settings, rounds=5)

    assert queues.llen("normal") == 8


def test_accepting_more_adds_no_permit_beyond_the_bound(backlog, organization, queues, settings):
    factories.enter_worker(slots=4)
    permits(settings)

    for _ in range(20):
        factories.accept(organization)
    sent(settings)

    assert queues.llen("normal") == 8


def test_permits_come_back_when_the_broker_has_lost_them(backlog, queues, settings):
    factories.enter_worker(slots=4)
    permits(settings)
    queues.flushall()

    permits(settings)

    assert queues.llen("normal") == 8


def test_no_more_permits_are_issued_than_executions_are_queued(organization, publish, queues, settings):
    publish(source())
    factories.accept(organization, queue="low")
    sent(settings)
    queues.flushall()
    factories.enter_worker(slots=4)

    permits(settings)

    assert [queues.llen(queue) for queue in ("onsite", "normal", "low")] == [0, 0, 1]


@pytest.mark.parametrize("lease_seconds", [None, 0.0])
def test_without_a_live_worker_there_are_no_permits(backlog, queues, settings, lease_seconds):
    if lease_seconds is not None:
        factories.enter_worker(lease_seconds=lease_seconds)

    permits(settings)

    assert queues.llen("normal") == 0


@pytest.fixture
def start(database, settings):
    """Start what takes part in the rounds, with duties of its own or the real ones; it ends with the test."""
    started = []

    def start(rounds=None):
        started.append(Liveness(rounds or liveness.duties_of(settings)))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.close()


def slot():
    with db.autocommit() as connection:
        query = "SELECT floor(extract(epoch FROM clock_timestamp()) / :period)"
        return int(connection.execute(text(query), {"period": liveness.PERIOD_SECONDS}).scalar_one())


def test_of_many_processes_one_does_the_round_of_a_slot(start):
    rounds, first = [], slot()
    processes = [start({"count": rounds.append}) for _ in range(6)]

    until(lambda: len(rounds) >= 3)
    for each in processes:
        each.close()

    assert len(rounds) <= slot() - first + 1


def test_a_duty_that_fails_keeps_no_other_from_its_round(start):
    rounds = []

    start({"fails": lambda connection: 1 / 0, "count": rounds.append})

    until(lambda: rounds)


def test_a_process_that_is_closed_does_no_round_any_more(start):
    rounds = []
    process = start({"count": rounds.append})
    until(lambda: rounds)

    process.close()

    done, now = len(rounds), slot()
    until(lambda: slot() > now + 1)
    assert len(rounds) == done


def test_permits_for_what_was_left_come_at_the_start(backlog, queues, start):
    factories.enter_worker(slots=3)

    start()

    until(lambda: queues.llen("normal") == 6)


def test_permits_that_the_broker_loses_are_put_back(backlog, queues, start):
    factories.enter_worker(slots=3)
    start()
    until(lambda: queues.llen("normal") == 6)

    queues.flushall()

    until(lambda: queues.llen("normal") == 6, seconds=5)
