"""`/v2/executions/{execution}/explain`: what a caller is told, and who is told it."""

import pytest

from shared import db, organizations, pipelines
from shared.definition import read
from tests import factories
from tests.factories import source

START = "/v2/pipelines/pipeline/versions/1/executions"


@pytest.fixture(autouse=True)
def idle(package_worker, database):
    """The worker of these tests serves no queue, so that what is queued has the cause that a test gives it."""
    factories.change("UPDATE workers SET queues = '{}'")
    yield
    factories.change("UPDATE workers SET queues = '{onsite,normal,low}' WHERE id = :id", id=package_worker.id)
    factories.change("DELETE FROM workers WHERE id <> :id", id=package_worker.id)


@pytest.fixture
def pipeline(publish):
    return publish(source())


@pytest.fixture
def explain(client):
    def explain(name):
        answer = client.get(f"/v2/executions/{name}/explain")
        assert answer.status_code == 200, answer.json
        return answer.json

    return explain


def test_what_is_scheduled_is_told_when_it_is_due(explain, client, pipeline):
    started = client.post(START, json={"not_before": "2100-01-01T00:00:00Z"}).json

    found = explain(started["uuid"])

    assert (found["id"], found["status"], found["cause"]["code"]) == (started["id"], "waiting", "schedule")
    assert found["cause"]["until"] == "2100-01-01T00:00:00.000000Z"
    assert (found["place"], found["ahead"], found["own_ahead"]) == (None, None, None)


def test_what_is_parked_is_told_until_when(explain, organization, pipeline):
    claim = factories.running(organization)
    factories.park(claim)

    found = explain(claim.uuid)

    assert (found["status"], found["cause"]["code"]) == ("waiting", "pacing")
    assert found["cause"]["until"] in found["cause"]["message"]


def test_what_is_queued_is_told_its_place_in_numbers_alone(explain, organization, pipeline):
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")
        pipelines.publish(connection, other, "secret-plans", read(source()))
    factories.enter_worker(slots=1)
    factories.accept(other, "secret-plans", queue="onsite")
    factories.accept(organization, queue="onsite")

    found = explain(factories.accept(organization).id)

    assert (found["cause"]["code"], found["place"], found["ahead"], found["own_ahead"]) == ("turn", 3, 2, 1)
    assert found["cause"]["others_ahead"] == 1
    assert not any(word in str(found) for word in ("globex", "secret-plans"))


@pytest.mark.parametrize(("queues", "code"), [(("low",), "no_worker"), (("normal",), "next")])
def test_it_is_told_whether_a_worker_serves_it(explain, organization, pipeline, queues, code):
    factories.enter_worker(queues=queues)

    assert explain(factories.accept(organization).uuid)["cause"]["code"] == code


def test_what_waits_for_its_cap_is_told_the_limit(explain, organization, pipeline):
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=0)

    found = explain(factories.accept(organization).id)

    assert (found["cause"]["code"], found["cause"]["limit"], found["cause"]["running"]) == ("cap", 0, 0)


def test_what_runs_is_told_with_its_layers_and_then_that_it_is_cancelled(explain, organization, pipeline):
    claim = factories.running(organization)

    found = explain(claim.id)
    factories.cancel(organization, claim.uuid)

    assert (found["cause"]["code"], found["cause"]["layers"], found["attempt"]) == ("running", ["answer/0"], 1)
    assert explain(claim.id)["cause"]["code"] == "cancelling"


def test_an_end_is_told_with_its_reason(explain, organization, pipeline):
    claim = factories.running(organization)
    factories.finish(claim, "failed", reason="deadline", error="the deadline is over")

    found = explain(claim.id)

    assert (found["cause"]["code"], found["cause"]["reason"], found["status"]) == ("ended", "deadline", "failed")


def test_another_organization_s_is_not_found(stranger, organization, pipeline):
    mine = factories.accept(organization)

    assert stranger.get(f"/v2/executions/{mine.id}/explain").status_code == 404
    assert stranger.get(f"/v2/executions/{mine.uuid}/explain").status_code == 404


def test_after_its_expiry_there_is_the_tombstone(client, organization, pipeline):
    claim = factories.running(organization)
    factories.finish(claim, keep_seconds=-1)

    answer = client.get(f"/v2/executions/{claim.id}/explain")

    assert (answer.status_code, answer.json["execution"]["status"]) == (410, "succeeded")


def test_it_wants_the_scope_to_read(app, organization, pipeline, make_key):
    mine = factories.accept(organization)
    headers = {"Authorization": f"Bearer {make_key(organization, 'execute')}"}

    assert app.test_client().get(f"/v2/executions/{mine.id}/explain", headers=headers).status_code == 403
