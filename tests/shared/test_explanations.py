"""Where an execution stands: causes, places, estimates."""

from datetime import UTC, datetime

import pytest

from shared import db, explanations, organizations, pipelines
from shared.clock import rfc3339
from shared.definition import read
from tests import factories
from tests.factories import source


@pytest.fixture
def pipeline(publish):
    return publish(source())


@pytest.fixture
def other(database):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "pipeline", read(source()))
        return other


def explain(execution_id):
    owner = factories.row(execution_id).organization_id
    with db.autocommit() as connection:
        return explanations.explain(connection, owner, execution_id)


def test_what_is_not_due_is_told_when(organization, pipeline):
    mine = factories.accept(organization, not_before=datetime(2100, 1, 1, tzinfo=UTC))

    found = explain(mine.id)

    assert (found.status, found.cause.code) == ("waiting", "schedule")
    assert found.cause.details["until"] == "2100-01-01T00:00:00.000000Z"
    assert (found.place, found.ahead, found.own_ahead) == (None, None, None)
    assert found.estimate_seconds > 86_400


def test_what_is_parked_is_told_until_when(organization, pipeline):
    claim = factories.running(organization)
    factories.park(claim, 60.0)

    found = explain(claim.id)

    assert (found.status, found.cause.code) == ("waiting", "pacing")
    assert found.cause.details["until"] == rfc3339(factories.row(claim.id).parked_until)
    assert 50 < found.estimate_seconds <= 60


def test_without_a_worker_that_is_the_cause(organization, pipeline):
    mine = factories.accept(organization)
    factories.enter_worker(queues=("low",))
    factories.enter_worker(lease_seconds=-1)

    found = explain(mine.id)

    assert (found.cause.code, found.place, found.estimate_seconds) == ("no_worker", 1, None)


def test_what_is_next_is_told_so(organization, pipeline):
    factories.enter_worker(slots=2)
    factories.accept(organization)
    mine = factories.accept(organization)

    found = explain(mine.id)

    assert (found.cause.code, found.place, found.own_ahead) == ("next", 2, 1)
    assert found.estimate_seconds == 1.0
    assert (found.cause.details["running"], found.cause.details["slots"]) == (0, 2)


def test_with_every_slot_taken_that_is_the_cause(organization, pipeline):
    factories.accept(organization)
    factories.claim(factories.enter_worker(slots=1))
    mine = factories.accept(organization)

    found = explain(mine.id)

    assert (found.cause.code, found.cause.details["running"], found.cause.details["slots"]) == ("slots", 1, 1)
    assert found.ahead == 0


def test_those_before_it_are_counted_as_own_and_others(organization, other, pipeline):
    factories.enter_worker(slots=1)
    for owner in (organization, organization, other, other, other):
        factories.accept(owner, queue="onsite")
    mine = factories.accept(organization, queue="normal")

    found = explain(mine.id)

    assert (found.cause.code, found.place, found.ahead, found.own_ahead) == ("turn", 6, 5, 2)
    assert found.cause.details["others_ahead"] == 3


def test_a_queue_that_no_worker_of_its_own_serves_does_not_count(organization, pipeline):
    factories.enter_worker(slots=1, queues=("normal",))
    factories.accept(organization, queue="onsite")
    mine = factories.accept(organization, queue="normal")

    assert explain(mine.id).ahead == 0


def test_places_are_the_order_of_the_claims(organization, other, pipeline):
    factories.enter_worker(slots=1)
    owners = [organization, organization, other, organization, other]
    reports = [factories.accept(owner, queue=queue) for owner in owners for queue in ("low", "onsite", "normal")]

    places = {each.id: explain(each.id).place for each in reports}

    assert [factories.claim().id for _ in reports] == sorted(places, key=places.__getitem__)


def test_counting_stops_and_says_so(organization, pipeline):
    factories.enter_worker(slots=1)
    first = factories.accept(organization)
    factories.change(
        "INSERT INTO executions (uuid, organization_id, version_id, status, queue, rank, deadline_at)"
        " SELECT gen_random_uuid(), organization_id, version_id, 'queued', 'normal', rank, deadline_at"
        " FROM executions, generate_series(1, 10050) WHERE id = :id",
        id=first.id,
    )
    mine = factories.accept(organization)

    found = explain(mine.id)

    assert (found.ahead, found.own_ahead, found.more_than) == (10_000, 10_000, True)


def test_the_cap_of_its_organization_is_the_cause(organization, pipeline):
    factories.limit(max_running=1)
    factories.enter_worker(slots=4)
    factories.accept(organization)
    factories.claim()
    earlier, mine = factories.accept(organization), factories.accept(organization)

    found = explain(mine.id)

    assert (found.status, found.cause.code) == ("waiting", "cap")
    assert (found.cause.details["limit"], found.cause.details["running"]) == (1, 1)
    assert (found.place, found.ahead, found.own_ahead) == (None, None, 1)
    assert explain(earlier.id).own_ahead == 0


def test_a_cap_that_came_later_holds_what_is_queued(organization, pipeline):
    factories.enter_worker(slots=4)
    factories.accept(organization)
    factories.claim()
    mine = factories.accept(organization)
    factories.limit(max_running=1)

    found = explain(mine.id)

    assert (found.status, found.cause.code) == ("queued", "cap")


def test_behind_a_cap_whose_places_wait_for_a_worker_the_worker_is_the_cause(organization, pipeline):
    factories.limit(max_running=1)
    factories.accept(organization)
    mine = factories.accept(organization)

    assert (explain(mine.id).status, explain(mine.id).cause.code) == ("waiting", "no_worker")


def test_what_runs_is_told_with_its_layers_and_its_lease(organization, publish):
    publish(source(factories.prompt_layer(), factories.prompt_layer("Again: {{previous}}")))
    claim = factories.running(organization)
    factories.record(claim, factories.result("answer/0"))

    found = explain(claim.id)

    assert (found.cause.code, found.cause.details["layers"], found.cause.details["leased"]) == (
        "running", ["answer/1"], True
    )  # fmt: skip
    assert (found.attempt, found.deaths, found.suspect) == (1, 0, False)


@pytest.mark.parametrize("left", [True, False])
def test_a_lease_that_has_run_out_is_told(organization, pipeline, left):
    claim = factories.running(organization, lease_seconds=-1)
    if left:
        factories.change("DELETE FROM workers WHERE id = (SELECT worker FROM executions WHERE id = :id)", id=claim.id)

    assert explain(claim.id).cause.details["leased"] is False


def test_a_cancel_that_is_not_confirmed_is_told(organization, pipeline):
    claim = factories.running(organization)
    factories.cancel(organization, claim.uuid)

    assert (explain(claim.id).status, explain(claim.id).cause.code) == ("running", "cancelling")


def test_an_end_is_told_with_its_reason(organization, pipeline):
    claim = factories.running(organization)
    factories.finish(claim, "failed", reason="deadline", error="the deadline is over")

    found = explain(claim.id)

    assert (found.cause.code, found.cause.details["reason"], found.status) == ("ended", "deadline", "failed")


def test_from_the_second_death_on_it_is_a_suspect(organization, pipeline):
    mine = factories.accept(organization)
    for _ in range(2):
        factories.claim(factories.enter_worker(lease_seconds=-1))
        factories.rescue()

    found = explain(mine.id)

    assert (found.deaths, found.attempt, found.suspect) == (2, 2, True)


def ended(organization, *, count, run_seconds, within_seconds):
    """Executions that have just run for so long, the first of them so long ago."""
    for _ in range(count):
        factories.finish(factories.running(organization))
    factories.change(
        "ALTER TABLE executions DISABLE TRIGGER USER;"
        "UPDATE executions SET ended_at = clock_timestamp() - place * make_interval(secs => :within),"
        " started_at = clock_timestamp() - place * make_interval(secs => :within) - make_interval(secs => :run),"
        " accepted_at = accepted_at - interval '1 hour'"
        "  FROM (SELECT id, row_number() OVER (ORDER BY id DESC) / CAST(:count AS float) AS place FROM executions) AS p"
        " WHERE executions.id = p.id;"
        "ALTER TABLE executions ENABLE TRIGGER USER",
        within=within_seconds,
        run=run_seconds,
        count=count,
    )
    factories.change("UPDATE workers SET lease_until = '-infinity'")


def test_after_a_wait_the_estimate_is_what_has_ended_meanwhile(organization, pipeline):
    ended(organization, count=20, run_seconds=1, within_seconds=40)
    factories.accept(organization)
    factories.claim(factories.enter_worker(slots=1))
    reports = [factories.accept(organization) for _ in range(5)]
    factories.change("UPDATE executions SET accepted_at = accepted_at - interval '1 minute' WHERE ended_at IS NULL")

    # One every two seconds, and it is the fifth.
    assert explain(reports[-1].id).estimate_seconds == pytest.approx(10, abs=0.5)


def test_at_first_the_estimate_is_made_of_run_times_and_slots(organization, pipeline):
    ended(organization, count=20, run_seconds=6, within_seconds=40)
    worker = factories.enter_worker(slots=2)
    for _ in range(2):
        factories.accept(organization)
        factories.claim(worker)
    reports = [factories.accept(organization) for _ in range(4)]

    # Two slots, six seconds each: one every three, and it is the fourth.
    assert explain(reports[-1].id).estimate_seconds == pytest.approx(12, abs=0.5)


def test_without_any_end_there_is_no_estimate(organization, pipeline):
    factories.accept(organization)
    factories.claim(factories.enter_worker(slots=1))

    assert explain(factories.accept(organization).id).estimate_seconds is None
