"""Each call is booked once, whoever comes to do it; what nobody records is uncertain."""

from decimal import Decimal

import pytest

from shared import db, executions, ledger
from shared.errors import Fenced
from shared.ledger import Intent
from shared.order import Origin
from shared.plan import Call, Usage
from tests import factories
from tests.factories import record, result, source

USAGE = Usage(10, 5, 15)
COST = Decimal("0.0003")
ESTIMATE = Usage(100, 50, 150)


@pytest.fixture
def claim(organization, publish):
    publish(source())
    return factories.running(organization)


def call(number=1, **details):
    return Call("tests/model", "answered", **{"number": number, "usage": USAGE, "cost": COST, **details})


def opened(claim, number=1, path="answer/0", response_id=None):
    with db.autocommit() as connection:
        intent = Intent(number, path, "tests/model", ESTIMATE, Decimal("0.002"))
        ledger.open(connection, claim.id, claim.attempt, intent)
        if response_id:
            ledger.attach(connection, claim.id, claim.attempt, number, response_id)


def park(claim):
    with db.transaction() as connection:
        executions.park(connection, claim, 60, keep_seconds=60)


def settled():
    with db.transaction() as connection:
        return ledger.settle(connection)


def booked(columns="number, outcome, total_tokens, cost, kept, uncertain"):
    return [tuple(row) for row in factories.query(f"SELECT {columns} FROM usage ORDER BY attempt, number")]


def intents():
    return [tuple(row) for row in factories.query("SELECT attempt, number FROM calls ORDER BY attempt, number")]


def test_a_record_books_its_calls_and_takes_their_intents_away(claim):
    opened(claim, 1)
    opened(claim, 2)
    opened(claim, 3, path="other/0")

    record(claim, result(calls=(call(1, kept=False), call(2))))

    assert booked() == [(1, "answered", 15, COST, False, False), (2, "answered", 15, COST, True, False)]
    assert intents() == [(1, 3)]


def test_a_call_is_booked_for_the_executions_organization_key_and_version(claim, organization):
    record(claim, result(calls=(call(),)))

    row = factories.row(claim.id)
    assert booked("organization_id, key_id, execution_id, version_id, attempt, path, model") == [
        (organization, row.key_id, claim.id, row.version_id, 1, "answer/0", "tests/model")
    ]


def test_a_record_that_is_repeated_books_nothing_twice(claim):
    for _ in range(2):
        record(claim, result(calls=(call(1), call(2))))

    assert len(booked()) == 2


def test_what_was_sent_without_an_intent_is_booked_all_the_same(claim):
    record(claim, result(calls=(call(0), call(0, usage=None, cost=None))))

    assert booked("number, total_tokens, cost") == [(None, 15, COST), (None, None, None)]


def test_a_record_of_who_has_lost_the_claim_books_nothing(claim):
    opened(claim)
    factories.release(claim)

    with pytest.raises(Fenced):
        record(claim, result(calls=(call(),)))

    assert (booked(), intents()) == ([], [(1, 1)])


def test_the_end_books_the_last_layers_calls_and_sums_up_all(claim):
    record(claim, result("answer/0", calls=(call(1, kept=False), call(2))))
    opened(claim, 3)

    factories.finish(claim, output="done", last=result("answer/1", calls=(call(3),)))

    row = factories.row(claim.id)
    assert (row.usage["total_tokens"], row.cost, len(booked()), intents()) == (45, 3 * COST, 3, [])


def test_the_sum_has_the_attempts_before_and_nothing_uncertain(claim):
    record(claim, result(passed=False, calls=(call(1),)))
    factories.release(claim)
    again = factories.claim()
    record(again, result(calls=(call(1), call(2, uncertain=True, kept=False))))

    factories.finish(again, output="done")

    row = factories.row(claim.id)
    assert (row.usage, row.cost) == (Usage(20, 10, 30).as_json(), 2 * COST)


def test_a_cost_that_nobody_knows_is_null(claim):
    factories.finish(claim, output="done", last=result(calls=(call(cost=None),)))

    assert (factories.row(claim.id).usage["total_tokens"], factories.row(claim.id).cost) == (15, None)


@pytest.mark.parametrize(
    "end",
    [
        lambda claim: factories.finish(claim, "cancelled", reason="cancelled"),
        lambda claim: factories.rescue(max_deaths=1),
        lambda claim: (factories.change("UPDATE executions SET cancel_requested_at = now()"), factories.release(claim)),
    ],
    ids=["finish", "rescue", "release"],
)
def test_every_end_sums_up_what_was_booked(claim, end):
    record(claim, result(calls=(call(),)))
    factories.change("UPDATE workers SET lease_until = now() - interval '1 minute'")

    end(claim)

    row = factories.row(claim.id)
    assert (row.ended_at is not None, row.usage["total_tokens"], row.cost) == (True, 15, COST)


def test_an_overdue_execution_is_summed_up_too(claim):
    record(claim, result(calls=(call(),)))
    factories.change("UPDATE executions SET deadline_at = now()")

    with db.transaction() as connection:
        executions.end_overdue(connection, keep_seconds=60)

    assert factories.row(claim.id).cost == COST


def test_an_execution_that_goes_on_is_not_summed_up(claim):
    record(claim, result(calls=(call(),)))
    factories.release(claim)

    assert (factories.row(claim.id).usage, factories.row(claim.id).cost) == (None, None)


def test_a_kept_layer_costs_nothing_again(claim, organization):
    record(claim, result(calls=(call(),)))
    factories.finish(claim, "failed", reason="provider_error")
    origin = Origin(claim.id, ("answer/0",))

    factories.accept(organization, origin=origin)
    repair = factories.claim()
    factories.finish(repair, output="done")

    assert (factories.row(repair.id).usage["total_tokens"], factories.row(repair.id).cost) == (0, None)


def test_calls_in_flight_are_not_settled(claim):
    opened(claim)

    assert (settled(), intents()) == (0, [(1, 1)])


@pytest.mark.parametrize(
    "leave",
    [
        lambda claim: factories.finish(claim, "cancelled", reason="cancelled"),
        factories.release,
        lambda claim: (factories.release(claim), factories.claim()),
        park,
    ],
    ids=["ended", "released", "taken over", "parked"],
)
def test_what_an_attempt_leaves_behind_is_booked_once_as_uncertain(claim, leave):
    opened(claim)
    leave(claim)

    assert (settled(), settled(), intents()) == (1, 0, [])
    assert booked() == [(1, "uncertain", 150, Decimal("0.002"), False, True)]


def test_two_that_settle_at_once_share_the_work(claim):
    opened(claim, 1)
    opened(claim, 2)
    factories.release(claim)

    with db.transaction() as one:
        first = ledger.settle(one)
        second = settled()

    assert (first, second, len(booked())) == (2, 0, 2)


def test_what_was_settled_is_not_booked_again_by_who_comes_late(claim):
    opened(claim)
    factories.release(claim)
    settled()

    with db.autocommit() as connection:
        ledger.book(connection, claim.id, claim.attempt, ledger.lines("answer/0", [call()]))

    assert booked("outcome, uncertain") == [("uncertain", True)]


def test_calls_of_a_layer_that_stopped_are_booked_beside_its_record(claim):
    opened(claim)

    with db.autocommit() as connection:
        ledger.book(connection, claim.id, claim.attempt, ledger.lines("answer/0", [call()]))

    assert (booked("outcome, uncertain"), intents()) == ([("answered", False)], [])


def test_an_answer_in_the_background_waits_for_the_next_attempt(claim):
    opened(claim, 1, response_id="resp_1")
    factories.release(claim)
    again = factories.claim()

    with db.autocommit() as connection:
        assert settled() == 0
        assert ledger.adopt(connection, claim.id, again.attempt, 4, "other/0") is None
        found = ledger.adopt(connection, claim.id, again.attempt, 4, "answer/0")

    assert (found.number, found.response_id, found.estimate, intents()) == (4, "resp_1", ESTIMATE, [(2, 4)])


def test_an_answer_in_the_background_that_nobody_fetches_is_uncertain_in_the_end(claim):
    opened(claim, 1, response_id="resp_1")
    factories.finish(claim, "cancelled", reason="cancelled")

    assert (settled(), booked("outcome")) == (1, [("uncertain",)])


def test_spent_is_all_that_was_booked_and_what_is_open_of_the_attempts_before(claim):
    record(claim, result(passed=False, calls=(call(1), call(2, uncertain=True))))
    opened(claim, 3)
    factories.release(claim)
    again = factories.claim()
    opened(again, 1)

    with db.autocommit() as connection:
        assert ledger.spent(connection, claim.id, again.attempt) == (15 + 15 + 150, 2 * COST + Decimal("0.002"))


def test_the_intent_of_a_call_that_was_never_sent_goes_without_a_trace(claim):
    opened(claim)

    with db.autocommit() as connection:
        ledger.drop(connection, claim.id, claim.attempt, 1)

    assert (intents(), booked()) == ([], [])
