from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from shared import db, executions, organizations, pipelines
from shared.definition import read
from tests import factories
from tests.factories import source


@pytest.fixture
def published(publish):
    return publish(source())


@pytest.fixture
def other(database):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "pipeline", read(source()))
        return other


def age(seconds, condition="true"):
    """Move what is there into the past, as if it had waited since."""
    with db.transaction() as connection:
        connection.execute(
            text(
                "UPDATE executions SET rank = rank - make_interval(secs => :s),"
                f" accepted_at = accepted_at - make_interval(secs => :s) WHERE {condition}"
            ),
            {"s": seconds},
        )


def measure():
    with db.transaction() as connection:
        connection.execute(text("UPDATE pace SET at = now() - interval '1 day', measured_at = now()"))
        executions.measure_pace(connection)


def claimed_organizations(count):
    found = [factories.claim().id for _ in range(count)]
    with db.transaction() as connection:
        rows = connection.execute(text("SELECT id, organization_id FROM executions"))
        owners = {row.id: row.organization_id for row in rows}
    return [owners[each] for each in found]


def test_who_comes_new_is_next_however_old_the_backlog_of_others_is(organization, other, published):
    for _ in range(20):
        factories.accept(organization)
    age(3600)
    factories.claim()
    measure()

    mine = factories.accept(other)

    assert factories.claim().id == mine.id


def test_several_who_come_new_are_next_in_the_order_of_their_coming(organization, other, published):
    for _ in range(5):
        factories.accept(organization)
    age(3600)
    factories.claim()
    measure()

    first = factories.accept(other)
    second = factories.accept(other)

    assert factories.claim().id == first.id
    assert claimed_organizations(3) in ([organization, other, organization], [other, organization, organization])
    assert second.id > first.id


def test_two_who_keep_coming_share_evenly(organization, other, published):
    for _ in range(10):
        factories.accept(organization)
        factories.accept(other)

    assert Counter(claimed_organizations(10)) == {organization: 5, other: 5}


def test_twice_the_weight_gets_twice_the_turns(organization, other, published):
    factories.limit(weight=2)
    for _ in range(12):
        factories.accept(organization)
        factories.accept(other)

    assert Counter(claimed_organizations(12)) == {organization: 8, other: 4}


def test_who_always_has_one_queued_does_not_keep_a_backlog_from_its_turns(organization, other, published):
    for _ in range(10):
        factories.accept(organization)
    age(3600)
    measure()
    turns = []
    factories.accept(other)
    for _ in range(10):
        turns += claimed_organizations(1)
        if turns[-1] == other:
            factories.accept(other)
        measure()

    assert 3 <= turns.count(organization) <= 7


def test_low_is_claimed_once_it_has_waited_long_enough(organization, other, published):
    low = factories.accept(organization, queue="low")
    age(601)
    for _ in range(5):
        factories.accept(other, queue="onsite")

    assert factories.claim().id == low.id


def test_what_is_over_the_cap_waits_and_says_so(organization, published):
    factories.limit(max_running=2)

    reports = [factories.accept(organization) for _ in range(4)]

    assert [each.blocked_by for each in reports] == [None, None, "cap", "cap"]
    assert factories.states() == {"queued": 2, "waiting cap": 2}


def test_a_cap_holds_back_its_own_organization_alone(organization, other, published):
    factories.limit(max_running=0)

    factories.accept(organization)
    free = factories.accept(other)

    assert (factories.claim().id, factories.claim()) == (free.id, None)


def test_the_end_of_one_under_a_cap_queues_the_next(organization, published):
    factories.limit(max_running=1)
    first, second = factories.accept(organization), factories.accept(organization)

    factories.finish(factories.claim())

    assert factories.claim().id == second.id
    assert first.id < second.id


def test_a_cap_is_never_exceeded_by_claims_at_once(organization, published):
    for _ in range(12):
        factories.accept(organization)
    factories.limit(max_running=3)
    worker, barrier = factories.enter_worker(), Barrier(8)

    def claim(_):
        barrier.wait()
        return factories.claim(worker)

    with ThreadPoolExecutor(8) as pool:
        found = [each for each in pool.map(claim, range(8)) if each]

    assert (len(found), factories.states()["running"]) == (3, 3)


@pytest.mark.parametrize("cap", [1, 3])
def test_ends_and_claims_at_once_keep_to_the_cap_and_lose_no_place(organization, published, cap):
    factories.limit(max_running=cap)
    for _ in range(30):
        factories.accept(organization)
    worker, most = factories.enter_worker(), []

    def work(_):
        done = 0
        while (claim := factories.claim(worker)) is not None:
            most.append(factories.states()["running"])
            factories.finish(claim)
            done += 1
        return done

    with ThreadPoolExecutor(6) as pool:
        done = sum(pool.map(work, range(6)))
        while factories.states()["succeeded"] < 30:
            assert factories.promote() or factories.states()["queued"]
            done += work(0)

    assert (done, max(most) <= cap, factories.states()) == (30, True, {"succeeded": 30})


def test_what_a_lowered_cap_puts_aside_keeps_its_rank_and_goes_first(organization, published):
    accepted = [factories.accept(organization) for _ in range(3)]
    factories.limit(max_running=1)
    running = factories.claim()
    assert factories.claim() is None
    late = factories.accept(organization)

    factories.finish(running)

    assert factories.claim().id == accepted[1].id
    assert late.id > accepted[1].id


def test_a_cap_that_is_lifted_lets_everything_go(organization, published):
    factories.limit(max_running=0)
    for _ in range(3):
        factories.accept(organization)
    factories.limit(max_running=None)

    assert (factories.promote(), factories.states()) == (3, {"queued": 3})


def test_onsite_goes_before_low_where_both_wait_for_a_place(organization, published):
    factories.limit(max_running=0)
    factories.accept(organization, queue="low")
    onsite = factories.accept(organization, queue="onsite")
    factories.limit(max_running=1)

    factories.promote()

    assert factories.claim().id == onsite.id


def test_what_comes_due_over_the_cap_waits_on(organization, published):
    factories.limit(max_running=1)
    running = factories.accept(organization)
    factories.claim()
    factories.accept(organization, not_before=datetime.now(UTC) + timedelta(hours=1))
    with db.transaction() as connection:
        connection.execute(text("UPDATE executions SET not_before = now() WHERE id <> :id"), {"id": running.id})

    factories.promote()

    assert factories.states() == {"running": 1, "waiting cap": 1}


def test_the_pace_goes_on_by_itself_and_never_beyond_now(organization, published):
    factories.accept(organization)
    factories.claim()
    age(3600)
    with db.transaction() as connection:
        connection.execute(text("UPDATE pace SET at = now() - interval '60 s', measured_at = now() - interval '100 s'"))
        executions.measure_pace(connection)
        behind = connection.execute(text("SELECT extract(epoch FROM now() - at) FROM pace")).scalar_one()

    assert 49 <= behind <= 51
