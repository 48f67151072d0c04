"""What is put aside for a provider's limit: where it waits, and when it comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from shared import db, executions
from tests import factories
from tests.factories import source


@pytest.fixture
def published(publish):
    return publish(source())


def parked(organization, **details):
    """An execution that was running and is put aside until long from now."""
    claim = factories.running(organization, **details)
    assert factories.park(claim)
    return claim


def come_due():
    factories.change("UPDATE executions SET parked_until = now() WHERE blocked_by = 'pacing'")
    return factories.promote()


def test_what_is_parked_waits_without_a_worker_and_keeps_its_rank_its_deadline_and_its_deaths(organization, published):
    claim = factories.running(organization)
    before = factories.row(claim.id)

    assert factories.park(claim, 60.0)

    after = factories.row(claim.id)
    assert (after.status, after.blocked_by, after.worker) == ("waiting", "pacing", None)
    assert (after.rank, after.deadline_at, after.deaths) == (before.rank, before.deadline_at, 0)
    assert timedelta(seconds=50) < after.parked_until - datetime.now(UTC) < timedelta(seconds=61)


def test_what_is_parked_is_queued_when_it_is_due_and_not_before(organization, published):
    claim = parked(organization)

    early = factories.promote()
    rank = factories.row(claim.id).rank

    assert (early, come_due()) == (0, 1)
    assert (factories.row(claim.id).status, factories.row(claim.id).rank) == ("queued", rank)


def test_what_was_parked_goes_before_those_who_came_after_it(organization, published):
    first = parked(organization)
    factories.accept(organization)
    come_due()

    assert factories.claim().id == first.id


def test_what_is_recalled_comes_back_at_the_next_promotion(organization, published):
    claim = parked(organization)
    with db.transaction() as connection:
        assert executions.recall(connection, [claim.uuid]) == [claim.uuid]

    assert (factories.promote(), factories.states()) == (1, {"queued": 1})


def test_what_is_parked_leaves_its_place_under_a_cap_to_the_next(organization, published):
    factories.limit(max_running=1)
    claim, following = factories.running(organization), factories.accept(organization)

    factories.park(claim)

    assert factories.claim().id == following.id


def test_what_was_parked_waits_for_a_place_under_the_cap_again_and_goes_first(organization, published):
    factories.limit(max_running=1)
    first = parked(organization)
    running = factories.running(organization)
    factories.accept(organization)

    come_due()

    assert factories.states() == {"running": 1, "waiting cap": 2}
    factories.finish(running)
    assert factories.claim().id == first.id


def test_what_was_to_be_cancelled_is_not_parked_but_cancelled(organization, published):
    claim = factories.running(organization)
    factories.cancel(organization, claim.uuid)

    assert factories.park(claim)

    assert (factories.row(claim.id).status, factories.row(claim.id).blocked_by) == ("cancelled", None)


def test_who_has_lost_its_claim_parks_nothing(organization, published):
    claim = factories.running(organization)
    factories.release(claim)

    assert not factories.park(claim)
    assert factories.states() == {"queued": 1}


def test_a_schedule_is_told_as_it_was_asked_after_a_parking(organization, published):
    asked = datetime.now(UTC) - timedelta(hours=1)
    claim = parked(organization, not_before=asked)
    come_due()

    assert factories.row(claim.id).not_before == asked
