"""The sweeps, and what the database itself refuses."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import exc

from shared import db, executions
from tests import factories
from tests.factories import source


@pytest.fixture(autouse=True)
def published(publish):
    return publish(source())


def ended_overdue():
    with db.transaction() as connection:
        return executions.end_overdue(connection, keep_seconds=factories.KEEP_SECONDS)


def erased(batch=1000):
    with db.transaction() as connection:
        return executions.erase(connection, batch=batch)


def expired(organization):
    claim = factories.running(organization)
    factories.record(claim, factories.result())
    factories.finish(claim, keep_seconds=0.0, output="done")
    return claim


def later():
    return datetime.now(UTC) + timedelta(hours=1)


def test_an_execution_whose_worker_is_dead_is_queued_again_with_a_death(organization):
    claim = factories.running(organization, lease_seconds=0.0)

    assert factories.rescue() == {"queued": 1}

    row = factories.row(claim.id)
    assert (row.status, row.deaths, row.attempt, row.worker) == ("queued", 1, 1, None)


def test_an_execution_of_a_worker_that_left_without_it_is_rescued(organization):
    claim = factories.running(organization)
    factories.change("DELETE FROM workers")

    factories.rescue()

    assert factories.row(claim.id).status == "queued"


def test_an_execution_whose_worker_lives_is_left_alone(organization):
    claim = factories.running(organization)

    assert factories.rescue() == {}
    assert factories.row(claim.id).status == "running"


def test_nobody_is_dead_within_a_lease_after_the_start_of_the_server(organization):
    factories.running(organization, lease_seconds=0.0)

    assert factories.rescue(lease_seconds=1e9) == {}


def test_the_last_death_that_it_may_cause_fails_an_execution(organization):
    factories.accept(organization)
    statuses = []
    for _ in range(3):
        claim = factories.claim(factories.enter_worker(lease_seconds=0.0))
        statuses.append(factories.rescue(max_deaths=3))

    row = factories.row(claim.id)
    assert statuses == [{"queued": 1}, {"queued": 1}, {"failed": 1}]
    assert (row.reason, row.deaths, row.attempt) == ("worker_lost", 3, 3)


def test_an_execution_that_is_asked_to_stop_is_cancelled_when_its_worker_dies(organization):
    claim = factories.running(organization, lease_seconds=0.0)
    factories.cancel(organization, claim.uuid)

    assert factories.rescue() == {"cancelled": 1}
    assert factories.row(claim.id).reason == "cancelled"


def test_a_rescued_execution_keeps_what_has_passed(organization):
    claim = factories.running(organization, lease_seconds=0.0)
    factories.record(claim, factories.result())

    factories.rescue()

    assert factories.query("SELECT passed FROM layer_results")[0].passed


def test_a_worker_that_was_taken_for_dead_cannot_finish(organization):
    claim = factories.running(organization, lease_seconds=0.0)
    factories.rescue()

    assert factories.finish(claim, output="late") is False


@pytest.mark.parametrize("state", ["waiting", "queued", "running"])
def test_a_deadline_ends_an_execution_in_every_state(organization, state):
    accepted = factories.accept(organization, not_before=later() if state == "waiting" else None)
    if state == "running":
        factories.claim()
    factories.change("UPDATE executions SET deadline_at = now() - interval '1 second'")

    assert ended_overdue() == {"failed": 1}
    assert factories.row(accepted.id).reason == "deadline"


def test_an_execution_within_its_deadline_goes_on(organization):
    factories.running(organization)

    assert ended_overdue() == {}


def test_a_worker_cannot_finish_what_its_deadline_has_ended(organization):
    claim = factories.running(organization)
    factories.change("UPDATE executions SET deadline_at = now() - interval '1 second'")
    ended_overdue()

    assert factories.finish(claim, output="late") is False


def test_an_execution_is_promoted_when_its_time_has_come(organization):
    accepted = factories.accept(organization, not_before=later())
    factories.change("UPDATE executions SET not_before = now()")

    assert factories.promote() == 1

    row = factories.row(accepted.id)
    assert (row.status, row.blocked_by) == ("queued", None)


def test_an_execution_waits_for_its_time(organization):
    factories.accept(organization, not_before=later())

    assert factories.promote() == 0


ENDED_COLUMNS = {
    "status": "'queued'",
    "reason": "'other'",
    "attempt": "attempt + 1",
    "deaths": "deaths + 1",
    "ended_at": "now()",
    "queue": "'low'",
    "usage": "'{}'",
    "rank": "now()",
    "organization_id": "organization_id + 1",
    "cancel_requested_at": "now()",
    "uuid": "gen_random_uuid()",
}


@pytest.mark.parametrize("column", ENDED_COLUMNS)
def test_an_ended_row_refuses_every_change(organization, column):
    claim = factories.running(organization)
    factories.finish(claim, output="done")

    with pytest.raises(exc.DBAPIError):
        factories.change(f"UPDATE executions SET {column} = {ENDED_COLUMNS[column]}")


@pytest.mark.parametrize("column", ["expires_at", "erased_at"])
def test_an_ended_row_may_expire(organization, column):
    claim = factories.running(organization)
    factories.finish(claim, output="done")

    factories.change(f"UPDATE executions SET {column} = now()")

    assert getattr(factories.row(claim.id), column) is not None


@pytest.mark.parametrize(
    "change",
    [
        "status = 'succeeded'",
        "status = 'running'",
        "status = 'waiting'",
        "status = 'lost'",
        "ended_at = now()",
        "worker = gen_random_uuid()",
        "blocked_by = 'cap'",
        "queue = 'express'",
    ],
)
def test_a_state_that_the_drawing_does_not_know_is_refused(organization, change):
    factories.accept(organization)

    with pytest.raises(exc.IntegrityError):
        factories.change(f"UPDATE executions SET {change}")


def test_erasing_deletes_content_and_results_and_leaves_the_tombstone(organization):
    claim = expired(organization)

    assert erased() == 1

    assert factories.query("SELECT 1 FROM contents UNION ALL SELECT 1 FROM layer_results") == []
    assert factories.row(claim.id).erased_at is not None


def test_what_is_erased_is_not_erased_again(organization):
    expired(organization)
    erased()

    assert erased() == 0


def test_nothing_is_erased_before_its_time(organization):
    factories.finish(factories.running(organization), output="done")

    assert erased() == 0


def test_erasing_goes_in_batches(organization):
    for _ in range(3):
        expired(organization)

    assert [erased(batch=2), erased(batch=2)] == [2, 1]


def test_an_old_tombstone_is_buried(organization):
    expired(organization)
    erased()
    factories.change("UPDATE executions SET expires_at = now() - interval '31 days'")

    with db.transaction() as connection:
        assert executions.bury(connection, tombstone_days=30) == 1

    assert factories.query("SELECT 1 FROM executions") == []


def test_a_young_tombstone_stays(organization):
    expired(organization)
    erased()

    with db.transaction() as connection:
        assert executions.bury(connection, tombstone_days=30) == 0


def test_what_is_not_erased_yet_is_not_buried(organization):
    expired(organization)
    factories.change("UPDATE executions SET expires_at = now() - interval '31 days'")

    with db.transaction() as connection:
        assert executions.bury(connection, tombstone_days=30) == 0
