"""Executions run again: the whole of one, or only what failed or is missing."""

import pytest

from tests import factories
from tests.api.definitions import asks, pipeline

START = "/v2/pipelines/pipeline/versions/latest/executions"
#: `second` depends on `first`; `other` on nothing.
THREE = pipeline(
    asks("one", "two", name="first"),
    asks("After {{first}}", name="second", model="demo"),
    asks("other", name="other"),
)


@pytest.fixture
def run(client, publish, worker):
    """Publish, start, run to the end, and read the report."""

    def run(definition):
        publish(definition)
        started = client.post(START, json={})
        worker.work()
        return client.get(f"/v2/executions/{started.json['uuid']}").json

    return run


@pytest.fixture
def again(client, worker, model):
    """Repair or replay, run to the end, and read the report and the layers that the model was asked for."""

    def again(report, how="repair", /, **body):
        model.reset()
        answer = client.post(f"/v2/executions/{report['id']}/{how}", json=body)
        assert answer.status_code == 202, answer.text
        worker.work()
        found = client.get(f"/v2/executions/{answer.json['uuid']}").json
        return found, sorted(call["layer"] for call in model.calls())

    return again


def broken(*failing):
    """The definition above, with properties of these names asking a model that answers 400."""
    properties = [
        {**each, "layers": [{**layer, "model": "demo:status=400"} for layer in each["layers"]]}
        if each["name"] in failing
        else each
        for each in THREE["properties"]
    ]
    return {**THREE, "properties": properties}


def test_a_repair_runs_only_what_failed_and_keeps_the_rest(run, again, publish):
    report = run(broken("second"))
    publish(THREE)

    repaired, asked = again(report, version="latest")

    assert (repaired["status"], asked) == ("succeeded", ["second/0"])
    kept = {each["name"]: each["layers"][0] for each in repaired["properties"]}
    first = {each["name"]: each["layers"][0] for each in report["properties"]}
    assert kept["first"]["output"] == first["first"]["output"]
    assert (kept["first"]["attempt"], kept["first"]["usage"], kept["first"]["calls"]) == (0, None, 0)


def test_a_repair_costs_what_it_ran(run, again, publish):
    report = run(broken("second"))
    publish(THREE)

    repaired, _ = again(report, version="latest")

    (second,) = [each for each in repaired["properties"] if each["name"] == "second"]
    assert repaired["usage"] == second["layers"][0]["usage"]


def test_what_depends_on_what_failed_runs_too(run, again, publish):
    report = run(broken("first"))
    publish(THREE)

    repaired, asked = again(report, version="latest")

    assert (repaired["status"], asked) == ("succeeded", ["first/0", "first/1", "second/0"])


def test_the_layers_before_the_one_that_failed_are_kept(run, again, publish):
    two = asks("one", "two", name="first")
    failing = {**two, "layers": [two["layers"][0], {**two["layers"][1], "model": "demo:status=400"}]}
    report = run(pipeline(failing))
    publish(pipeline(two))

    assert again(report, version="latest")[1] == ["first/1"]


def test_a_repair_shows_what_it_keeps_before_it_runs(run, client, publish):
    report = run(broken("second"))

    answer = client.post(f"/v2/executions/{report['id']}/repair")

    states = {each["name"]: each["state"] for each in answer.json["properties"]}
    assert states == {"first": "passed", "second": "pending", "other": "passed"}
    assert answer.json["origin_id"] == report["id"]


def test_a_fork_runs_from_a_layer_on(run, again):
    report = run(THREE)

    forked, asked = again(report, **{"from": ["first/1"]})

    assert (forked["status"], asked) == ("succeeded", ["first/1", "second/0"])


def test_nothing_to_repair_is_a_conflict(run, client):
    report = run(THREE)

    assert client.post(f"/v2/executions/{report['id']}/repair").status_code == 409


def test_a_property_that_is_another_in_the_new_version_cannot_be_kept(run, client, publish):
    report = run(broken("second"))
    changed = asks("another", name="other")
    publish({**THREE, "properties": [*THREE["properties"][:2], changed]})

    answer = client.post(f"/v2/executions/{report['id']}/repair", json={"version": "latest", "from": ["nothing"]})

    assert answer.status_code == 422
    assert [(each["field"], "other" in each["message"]) for each in answer.json["errors"]] == [
        ("from[0]", False),
        ("version", True),
    ]


def test_a_property_that_is_another_can_be_run_again_by_its_name(run, again, publish):
    report = run(broken("second"))
    publish({**THREE, "properties": [*THREE["properties"][:2], asks("another", name="other")]})

    assert again(report, version="latest", **{"from": ["other"]})[1] == ["other/0", "second/0"]


def test_a_replay_runs_everything_with_the_same_inputs(run, again):
    report = run(THREE)

    replayed, asked = again(report, "replay")

    assert (replayed["status"], replayed["inputs"], len(asked)) == ("succeeded", report["inputs"], 4)
    assert (replayed["origin_id"], replayed["deadline_at"] > report["deadline_at"]) == (report["id"], True)


def test_a_replay_may_run_another_version(run, again, publish):
    report = run(broken("other"))
    publish(THREE)

    replayed, _ = again(report, "replay", version="latest")

    assert (replayed["status"], replayed["pipeline"]["version"]) == ("succeeded", 2)


@pytest.mark.parametrize("how", ["repair", "replay"])
def test_what_has_not_ended_is_a_conflict(client, publish, how):
    publish(THREE)
    started = client.post(START, json={}).json

    assert client.post(f"/v2/executions/{started['id']}/{how}").status_code == 409


@pytest.mark.parametrize("how", ["repair", "replay"])
def test_what_has_expired_is_gone(run, client, how):
    report = run(broken("second"))
    factories.change("UPDATE executions SET expires_at = now() - interval '1 second'")

    assert client.post(f"/v2/executions/{report['id']}/{how}").status_code == 410


@pytest.mark.parametrize("body", [{"version": True}, {"version": "nothing"}, {"from": [1]}, {"unknown": 1}, []])
def test_faults_in_the_body_start_nothing(run, client, body):
    report = run(broken("second"))

    answer = client.post(f"/v2/executions/{report['id']}/repair", json=body)

    assert answer.status_code in (404, 422)
    assert factories.query("SELECT count(*) AS n FROM executions")[0].n == 1


def test_a_repair_that_is_sent_twice_with_a_key_is_one(run, client):
    report = run(broken("second"))

    answers = [
        client.post(f"/v2/executions/{report['id']}/repair", headers={"Idempotency-Key": "repair-1"}) for _ in range(2)
    ]

    assert (answers[0].json["id"], answers[1].headers["Idempotent-Replayed"]) == (answers[1].json["id"], "true")


def test_a_cancelled_execution_goes_on_where_it_was(client, publish, worker, again, organization):
    publish(THREE)
    started = client.post(START, json={}).json
    claim = factories.claim()
    factories.record(claim, factories.result("first/0"))
    factories.finish(claim, "cancelled", reason="cancelled")

    assert again(started)[1] == ["first/1", "other/0", "second/0"]
