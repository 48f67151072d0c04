"""What a report tells of calls: by layer, and all together."""

from decimal import Decimal

import pytest

from shared import costs, db, ledger
from shared.costs import Booked
from shared.ledger import Intent
from shared.plan import Call, Usage
from shared.report import Uncertain
from tests import factories
from tests.factories import prompt_layer, record, result, source

USAGE, COST = Usage(10, 5, 15), Decimal("0.0003")
ESTIMATE = Usage(100, 50, 150)


@pytest.fixture
def claim(organization, publish):
    publish(source(prompt_layer(name="one"), prompt_layer(name="two")))
    return factories.running(organization)


@pytest.fixture
def told(claim, organization):
    return lambda: factories.report(organization, claim)


def call(number=1, **details):
    return Call(details.pop("model", "tests/model"), "answered", number, **{"usage": USAGE, "cost": COST, **details})


def opened(claim, number, path):
    with db.autocommit() as connection:
        ledger.open(
            connection, claim.id, claim.attempt, Intent(number, path, "tests/model", ESTIMATE, Decimal("0.002"))
        )


def layers(report):
    return {layer.path: layer for each in report.properties for layer in each.layers}


def test_a_layer_has_what_its_calls_came_to(claim, told):
    cut = Call("tests/model", "provider_timeout", 3, usage=ESTIMATE, cost=COST, kept=False, uncertain=True)
    refused = Call("tests/model", "provider_overloaded", 4, kept=False)
    record(claim, result("answer/one", calls=(call(1, kept=False), call(2), cut, refused), details={"model": "m"}))

    found = layers(told())["answer/one"]

    assert (found.calls, found.usage, found.spent.cost) == (4, USAGE + USAGE, 2 * COST)
    assert (found.spent.retried_usage, found.spent.uncertain) == (USAGE, Uncertain(1, 150, COST))
    assert found.details == {"model": "m"}


def test_what_results_tell_by_themselves_is_what_the_books_tell(claim, told):
    record(claim, result("answer/one", calls=(call(1), call(2, cost=None), call(3, usage=None, cost=None))))
    factories.finish(claim, output="done", last=result("answer/two", calls=(call(4),)))

    with db.autocommit() as connection:
        booked = costs.by_layer(connection, claim.id)

    assert {path: layer.spent for path, layer in layers(told()).items()} == booked


def test_a_layer_has_the_calls_of_every_attempt(claim, told):
    record(claim, result("answer/one", passed=False, calls=(call(1),)))
    factories.release(claim)
    record(factories.claim(), result("answer/one", calls=(call(1),)))

    assert layers(told())["answer/one"].usage == USAGE + USAGE


def test_what_ran_inside_of_a_layer_counts_for_the_outermost_one(organization, publish, claim, told):
    for path in ("answer/one[0]/x", "answer/one[1]/y[2]/z", "answer/two/answer/deep"):
        record(claim, result(path, calls=(call(len(path)),)))

    found = layers(told())

    assert (found["answer/one"].usage, found["answer/two"].usage) == (USAGE + USAGE, USAGE)


def test_the_execution_has_the_sum_of_its_layers_while_it_runs_and_after(claim, told):
    record(claim, result("answer/one", calls=(call(1), call(2, cost=None))))
    running = told()
    factories.finish(claim, output="done", last=result("answer/two", calls=(call(3),)))
    ended = told()

    assert (running.usage, running.spent.cost) == (USAGE + USAGE, COST)
    assert (ended.usage, ended.spent.cost, ended.spent.calls) == (USAGE + USAGE + USAGE, 2 * COST, 3)
    assert factories.row(claim.id).usage == ended.usage.as_json()


def test_calls_in_flight_are_not_uncertain(claim, told):
    opened(claim, 1, "answer/one")

    assert told().spent.uncertain == Uncertain()


def test_what_an_attempt_left_open_is_uncertain_before_it_is_settled_and_after(claim, told):
    opened(claim, 1, "answer/one")
    factories.release(claim)
    before = told()

    with db.transaction() as connection:
        ledger.settle(connection)

    assert before.spent.uncertain == told().spent.uncertain == Uncertain(1, 150, Decimal("0.002"))
    assert layers(before)["answer/one"].spent.uncertain == before.spent.uncertain


def test_a_layer_without_calls_has_nothing_to_tell(claim, told):
    record(claim, result("answer/one"))

    found = layers(told())["answer/one"]

    assert (found.calls, found.usage, found.spent.cost, found.spent.uncertain) == (0, None, None, Uncertain())


def test_what_ended_before_there_were_books_has_the_sum_that_was_kept(claim, told):
    factories.finish(claim, output="done")
    other = factories.change
    other("ALTER TABLE executions DISABLE TRIGGER USER")
    other("UPDATE executions SET usage = CAST(:usage AS jsonb)", usage='{"prompt_tokens":1,"total_tokens":1}')
    other("ALTER TABLE executions ENABLE TRIGGER USER")

    assert told().usage == Usage(1, 0, 1)


def test_calls_are_told_by_model_and_those_that_were_used_apart(claim):
    calls = (call(1), call(2), call(3, kept=False), call(4, model="tests/other"), call(5, uncertain=True))
    record(claim, result("answer/one", calls=calls))

    with db.autocommit() as connection:
        found = costs.by_model(connection, claim.id)

    assert found == [
        Booked("tests/model", False, USAGE, COST),
        Booked("tests/model", True, USAGE + USAGE, 2 * COST),
        Booked("tests/other", True, USAGE, COST),
    ]


def test_one_call_without_a_price_leaves_its_model_without_a_cost(claim):
    record(claim, result("answer/one", calls=(call(1), call(2, cost=None), call(3, usage=None, cost=None))))

    with db.autocommit() as connection:
        assert [each.cost for each in costs.by_model(connection, claim.id)] == [None]
