from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from shared import db, executions, organizations, reports
from shared.errors import Gone, NotFound
from shared.plan import Usage
from shared.reports import Filters
from tests import factories
from tests.factories import prompt_layer, source

TWO = {
    "properties": [
        {"name": "first", "layers": [prompt_layer(), prompt_layer()]},
        {"name": "second", "layers": [prompt_layer("{{first}}")]},
        {"name": "third", "layers": [prompt_layer()]},
    ]
}


@pytest.fixture
def claim(organization, publish):
    publish(TWO)
    return factories.running(organization)


def find(organization, name):
    with db.transaction() as connection:
        return reports.find(connection, organization, name)


def listed(organization, *, before=None, limit=50, **filters):
    with db.transaction() as connection:
        return reports.listed(connection, organization, Filters(**filters), before=before, limit=limit)


def states(organization, claim):
    """Each property's state with those of its layers."""
    found = find(organization, claim.id).properties
    return {each.name: (each.state, [layer.state for layer in each.layers]) for each in found}


def test_nothing_has_started_before_the_claim(organization, publish):
    publish(TWO)
    accepted = factories.accept(organization)

    assert states(organization, accepted) == {
        "first": ("pending", ["pending", "pending"]),
        "second": ("pending", ["pending"]),
        "third": ("pending", ["pending"]),
    }


def test_what_can_run_is_running_and_the_rest_is_pending(organization, claim):
    factories.record(claim, factories.result("first/0"))

    assert states(organization, claim) == {
        "first": ("running", ["passed", "running"]),
        "second": ("pending", ["pending"]),
        "third": ("running", ["running"]),
    }


def test_what_needs_a_failed_property_is_skipped(organization, claim):
    factories.record(claim, factories.result("first/0", passed=False))
    factories.record(claim, factories.result("third/0"))
    factories.finish(claim, "failed", reason="provider_error")

    assert states(organization, claim) == {
        "first": ("failed", ["failed", "skipped"]),
        "second": ("skipped", ["skipped"]),
        "third": ("passed", ["passed"]),
    }


def test_a_property_has_the_value_of_its_last_layer(organization, claim):
    factories.record(claim, factories.result("first/0", output="draft"))
    factories.record(claim, factories.result("first/1", output={"a": [1]}))

    assert find(organization, claim.id).properties[0].value == {"a": [1]}


def test_a_failed_property_has_the_error_of_its_layer(organization, claim):
    factories.record(claim, factories.result("first/0", passed=False, error="no", reason="provider_auth"))

    first = find(organization, claim.id).properties[0]

    assert (first.error, first.reason, first.value) == ("no", "provider_auth", None)


def test_what_was_used_so_far_is_told_while_it_runs(organization, claim):
    factories.record(claim, factories.result("first/0", usage=Usage(1, 2, 3)))
    factories.record(claim, factories.result("first/1", passed=False, usage=Usage(1, 1, 2)))

    assert find(organization, claim.id).usage == Usage(2, 3, 5)


def test_a_report_is_found_by_id_and_uuid(organization, claim):
    assert find(organization, claim.id) == find(organization, claim.uuid)


def test_an_execution_is_read_by_its_name_and_not_out_of_all_that_its_organization_has(organization):
    with db.autocommit() as connection:
        plan = connection.execute(
            text(f"EXPLAIN {reports._FIND['uuid'].sql}"), {"name": uuid4(), "organization": organization}
        )
        lines = "\n".join(plan.scalars())

    assert "executions_uuid_key" in lines
    assert "executions_list_index" not in lines


@pytest.mark.parametrize("name", [0, -1, 2**62, uuid4()])
def test_an_unknown_execution_is_not_found(organization, name):
    with pytest.raises(NotFound):
        find(organization, name)


@pytest.mark.parametrize("name", ["id", "uuid"])
def test_another_organization_s_execution_is_not_found(claim, name):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")

    with pytest.raises(NotFound):
        find(other, getattr(claim, name))


@pytest.fixture
def expired(organization, claim):
    """An execution whose results have expired and are not deleted yet."""
    factories.record(claim, factories.result("first/0", output="canary"))
    factories.finish(claim, keep_seconds=0.0, output={"a": "canary"})
    return claim


@pytest.mark.parametrize("sweep", [False, True])
def test_what_has_expired_is_gone_before_the_sweep_as_after_it(organization, expired, sweep):
    if sweep:
        with db.transaction() as connection:
            executions.erase(connection)

    with pytest.raises(Gone) as caught:
        find(organization, expired.id)

    assert caught.value.tombstone["status"] == "succeeded"
    assert "canary" not in str(caught.value.tombstone)


def test_what_is_buried_is_not_found(organization, expired):
    factories.change("DELETE FROM executions")

    with pytest.raises(NotFound):
        find(organization, expired.id)


@pytest.fixture
def several(organization, publish):
    """Three executions: one has succeeded, one runs, one is queued; each with a tag and an end user of its own."""
    publish(source())
    found = [
        factories.accept(organization, tags={"n": str(n), "all": "yes"}, metadata={"m": n}, end_user=f"user-{n}")
        for n in range(3)
    ]
    factories.finish(factories.claim(), output="done")
    factories.claim()
    return [each.id for each in found]


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({}, [2, 1, 0]),
        ({"status": "succeeded"}, [0]),
        ({"status": "running"}, [1]),
        ({"pipeline": "pipeline"}, [2, 1, 0]),
        ({"pipeline": "pipeline", "version": "1"}, [2, 1, 0]),
        ({"tags": (("n", "1"),)}, [1]),
        ({"tags": (("n", "1"), ("all", "yes"))}, [1]),
        ({"tags": (("n", "1"), ("all", "no"))}, []),
        ({"end_user": "user-2"}, [2]),
        ({"end_user": "user-2", "status": "succeeded"}, []),
        ({"accepted_after": datetime.now(UTC) + timedelta(days=1)}, []),
        ({"accepted_before": datetime.now(UTC) + timedelta(days=1)}, [2, 1, 0]),
    ],
)
def test_a_list_is_narrowed_by_every_filter(organization, several, filters, positions):
    assert [each["id"] for each in listed(organization, **filters)] == [several[at] for at in positions]


def test_a_list_goes_on_after_its_last_id(organization, several):
    first = listed(organization, limit=2)

    rest = listed(organization, before=first[-1]["id"], limit=2)

    assert [each["id"] for each in first + rest] == several[::-1]


def test_a_list_shows_no_other_organization_s_executions(several):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")

    assert listed(other) == []


def test_an_unknown_pipeline_is_no_filter(organization, several):
    with pytest.raises(NotFound):
        listed(organization, pipeline="nobody")


def test_what_has_expired_is_listed_but_not_found_by_its_content(organization, publish):
    publish(source())
    factories.accept(organization, tags={"a": "b"}, end_user="me")
    factories.finish(factories.claim(), keep_seconds=0.0, output="done")

    assert [each["expired"] for each in listed(organization)] == [True]
    assert listed(organization, tags=(("a", "b"),)) == listed(organization, end_user="me") == []


def test_over_is_what_has_ended_or_is_not_there(organization, publish):
    publish(source(prompt_layer()))
    ended, waiting = (factories.accept(organization).uuid for _ in range(2))
    factories.cancel(organization, ended)
    unknown = uuid4()

    with db.transaction() as connection:
        assert set(reports.over(connection, [ended, waiting, unknown])) == {ended, unknown}
        assert reports.over(connection, []) == []
