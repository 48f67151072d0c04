from datetime import UTC, datetime, timedelta

import pytest
import redis

from shared import broker, db
from tests import factories
from tests.factories import source
from worker import upkeep

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
            upkeep.permits(connection)
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


def expired(organization):
    factories.finish(factories.running(organization), keep_seconds=0.0, output="done")


def test_expiry_deletes_what_has_expired(organization, publish):
    publish(source())
    expired(organization)

    assert upkeep.expire() == 1
    assert factories.query("SELECT 1 FROM contents") == []


def test_expiry_that_somebody_has_done_is_not_done_again(organization, publish):
    publish(source())
    expired(organization)
    factories.change("INSERT INTO duties (duty, slot) VALUES ('expiry', :slot)", slot=2**62)

    assert upkeep.expire() == 0
    assert factories.query("SELECT 1 FROM contents")


def test_tombstones_and_workers_long_gone_are_buried(organization, publish, settings):
    publish(source())
    expired(organization)
    upkeep.expire()
    factories.change("UPDATE executions SET expires_at = now() - interval '31 days'")
    factories.change("UPDATE workers SET lease_until = now() - interval '2 hours'")

    assert upkeep.bury(settings) == 1
    assert factories.query("SELECT 1 FROM executions UNION ALL SELECT 1 FROM workers") == []


@pytest.fixture
def unbrokered(settings):
    """A worker whose broker is away, with its duties."""
    return {"redis_url": "redis://127.0.0.1:1"}


def test_an_execution_of_a_dead_worker_is_rescued_without_a_broker(
    organization, publish, start_worker, unbrokered, eventually
):
    publish(source())
    claim = factories.running(organization, lease_seconds=0.0)

    start_worker(**unbrokered)

    eventually(lambda: factories.row(claim.id).status == "queued")


def test_a_deadline_ends_what_waits_without_a_broker(organization, publish, start_worker, unbrokered, eventually):
    publish(source())
    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(hours=1))
    factories.change("UPDATE executions SET deadline_at = now()")

    start_worker(**unbrokered)

    eventually(lambda: factories.row(accepted.id).status == "failed")


def test_an_execution_is_promoted_when_it_is_due_without_a_broker(
    organization, publish, start_worker, unbrokered, eventually
):
    publish(source())
    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(seconds=0.5))

    start_worker(**unbrokered)

    eventually(lambda: factories.row(accepted.id).status == "queued")


def test_a_worker_that_starts_issues_permits_for_what_was_left(backlog, queues, start_worker, eventually):
    start_worker(worker_concurrency=3)

    eventually(lambda: queues.llen("normal") == 6)


def test_a_worker_puts_back_what_the_broker_loses(backlog, queues, start_worker, eventually):
    start_worker(worker_concurrency=3)
    eventually(lambda: queues.llen("normal") == 6)

    queues.flushall()

    eventually(lambda: queues.llen("normal") == 6, seconds=5)
