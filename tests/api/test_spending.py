"""What an organization is told of its usage."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared import db, executions, spending
from shared.plan import Call, Usage
from tests import factories
from tests.factories import result, source

COST = Decimal("0.001")
TODAY = datetime.now(UTC).date()


@pytest.fixture
def spend(publish, organization):
    """Book calls for an execution that has ended: `spend(call(), days_ago=3)`."""

    def spend(*calls, days_ago=0, handle="pipeline", owner=organization):
        publish(source(), handle)
        factories.accept(owner, handle)
        claim = factories.claim()
        factories.finish(claim, output="done", keep_seconds=0, last=result(calls=calls))
        ago = "UPDATE usage SET at = now() - make_interval(days => :days) WHERE execution_id = :id"
        factories.change(ago, days=days_ago, id=claim.id)

    return spend


def call(number=1, *, model="default/demo", outcome="answered", cost=COST, **details):
    return Call(model, outcome, number, **{"usage": Usage(10, 5, 15), "cost": cost, **details})


@pytest.fixture
def usage(client):
    def usage(query="", status=200):
        answer = client.get(f"/v2/usage?{query}")
        assert answer.status_code == status
        return answer.json

    return usage


def expire():
    with db.transaction() as connection:
        executions.erase(connection)


def fold():
    with db.transaction() as connection:
        return spending.fold(connection)


def test_days_are_summed_up_apart_and_together(spend, usage):
    spend(call(1), call(2), days_ago=1)
    spend(call(1))

    found = usage()

    days = [(each["day"], each["calls"], each["total_tokens"], each["cost"]) for each in found["groups"]]
    assert days == [(str(TODAY - timedelta(days=1)), 2, 30, 0.002), (str(TODAY), 1, 15, 0.001)]
    assert (found["total"]["calls"], found["total"]["cost"], found["to"]) == (3, 0.003, str(TODAY))


def test_nothing_is_told_of_another_organization(spend, usage, organization):
    spend(call())
    factories.change("UPDATE usage SET organization_id = :id", id=organization + 1)

    found = usage()

    assert (found["groups"], found["total"]["calls"], found["total"]["cost"]) == ([], 0, 0)


def test_what_was_retried_or_is_uncertain_is_told_apart(spend, usage):
    refused = call(2, outcome="provider_overloaded", usage=None, cost=None, kept=False)
    cut = call(4, outcome="provider_timeout", kept=False, uncertain=True)
    spend(call(1, kept=False), refused, call(3), cut)

    total = usage()["total"]

    assert (total["calls"], total["answered"], total["total_tokens"], total["cost"]) == (3, 2, 30, 0.002)
    assert total["retried"] == {"calls": 2, "tokens": 15, "cost": 0.001}
    assert total["uncertain"] == {"calls": 1, "tokens": 15, "cost": 0.001}
    assert total["unpriced_calls"] == 0


def test_a_cost_that_nobody_knows_is_told_as_unknown(spend, usage):
    spend(call(1, model="default/free", cost=Decimal()), call(2, model="default/unknown", cost=None))

    found = usage("group_by=model")

    told = [(each["model"], each["cost"], each["unpriced_calls"]) for each in found["groups"]]
    assert told == [("default/free", 0, 0), ("default/unknown", None, 1)]


def test_groups_are_as_they_are_asked_for(spend, usage, organization):
    spend(call(1), call(2, model="other/m"))
    spend(call(), handle="second")

    found = usage("group_by=pipeline,model,key")

    assert found["group_by"] == ["key", "model", "pipeline"]
    assert [(each["key"], each["model"], each["pipeline"], each["calls"]) for each in found["groups"]] == [
        (None, "default/demo", "pipeline", 1),
        (None, "default/demo", "second", 1),
        (None, "other/m", "pipeline", 1),
    ]


def test_days_outside_of_what_is_asked_for_are_left_out(spend, usage):
    for days_ago in (0, 1, 2, 3):
        spend(call(), days_ago=days_ago)

    found = usage(f"from={TODAY - timedelta(days=2)}&to={TODAY - timedelta(days=1)}")

    assert found["total"]["calls"] == 2


def test_pages_go_on_where_the_one_before_ended(spend, usage):
    for days_ago in (0, 1, 2):
        spend(call(), days_ago=days_ago)

    first = usage("limit=2")
    second = usage(f"limit=2&cursor={first['next_cursor']}")

    assert [len(each["groups"]) for each in (first, second)] == [2, 1]
    assert (second["next_cursor"], second["total"]) == (None, first["total"])


@pytest.mark.parametrize(
    "query",
    ["from=2026-02-30", "to=soon", "from=2026-02-02&to=2026-02-01", "from=2020-01-01", "group_by=moon", "cursor=x"],
)
def test_a_query_that_makes_no_sense_is_refused(usage, query):
    assert usage(query, 422)["errors"]


def test_a_fold_changes_nothing_that_is_told(spend, usage):
    spend(call(1, kept=False), call(2, cost=None), call(3, uncertain=True), days_ago=3)
    spend(call(1), days_ago=4)
    spend(call(1), days_ago=4, handle="second")
    spend(call(1))
    query = f"from={TODAY - timedelta(days=9)}&group_by=day,key,model,pipeline"
    before = usage(query)
    expire()

    assert (fold(), fold()) == (5, 0)

    assert usage(query) == before
    assert len(factories.query("SELECT 1 FROM usage")) == 1


def test_what_comes_late_to_a_day_is_added_to_its_sum(spend, usage):
    spend(call(1), days_ago=3)
    expire()
    fold()
    spend(call(1), days_ago=3)
    expire()

    assert (fold(), usage()["total"]["calls"], len(factories.query("SELECT 1 FROM usage_days"))) == (1, 2, 1)


def test_what_a_report_still_tells_is_not_folded(spend):
    spend(call(1), days_ago=3)

    assert fold() == 0


def test_usage_outlives_the_executions(spend, usage):
    spend(call(1), days_ago=3)
    before = usage()
    expire()
    factories.change("UPDATE executions SET expires_at = now() - interval '60 days'")
    with db.transaction() as connection:
        executions.bury(connection, tombstone_days=30)

    assert factories.query("SELECT 1 FROM executions") == []
    assert (usage(), fold(), usage()) == (before, 1, before)


def test_two_that_fold_at_once_count_each_call_once(spend, usage):
    spend(call(1), call(2), days_ago=3)
    expire()

    with db.transaction() as one:
        first = spending.fold(one)
        second = fold()

    assert (first, second, usage()["total"]["calls"]) == (2, 0, 2)
