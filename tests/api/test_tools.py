"""Tools over HTTP: what a dry run tells, what publishing refuses, and what a repair does not pay again."""

import pytest

from tests.api.definitions import asks, pipeline

START = "/v2/pipelines/pipeline/versions/latest/executions"
NOTE = {"type": "emit", "name": "note", "params_schema": {"type": "object"}}
CALL = {"tool_calls": [{"name": "note", "arguments": {"text": "a"}}]}


def using(*tools, **settings):
    return pipeline(asks("Say something.", name="said", tools=list(tools), **settings))


@pytest.fixture
def rehearse(client, publish):
    """Publish a definition and rehearse it."""

    def rehearse(source):
        publish(source)
        return client.post(f"{START}?dry_run=true", json={}).json

    return rehearse


def test_rounds_count_in_a_bound(rehearse):
    found = rehearse(using(NOTE, max_rounds=3, max_tokens=20))

    assert (found["clean"], found["bound"]["calls"], found["bound"]["completion_tokens"]) == (True, 3, 60)


@pytest.mark.parametrize("kind", ["pipeline", "mcp"])
def test_what_is_run_elsewhere_has_no_bound(rehearse, publish, kind):
    publish(pipeline(asks("Something.", name="other")), "other")
    tool = {"pipeline": {"handle": "other"}, "mcp": {"url": "https://tools.example/mcp"}}[kind]

    found = rehearse(using({"type": kind, "name": "t", **tool}))

    assert (found["clean"], found["unbounded"]) == (True, ["said/0"])


def test_a_search_that_the_provider_does_not_have_is_a_fault_of_a_dry_run(rehearse):
    found = rehearse(using({"type": "web_search"}))

    assert found["faults"] == [{"field": "said/0.model", "message": "the provider default does not search the web"}]


def test_publishing_names_a_pipeline_that_is_not_there(client):
    source = using({"type": "pipeline", "name": "t", "handle": "nowhere"})

    answer = client.put("/v2/pipelines/pipeline", json=source)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == ["properties[0].layers[0].tools[0].handle"]


def test_a_repair_goes_on_with_the_rounds_that_were_paid(client, publish, worker, model):
    publish(using(NOTE))
    model.script([{"layer": "said/0/rounds[0]", **CALL}, {"layer": "said/0/rounds[1]", "status": 400, "times": 1}])
    failed = client.post(START, json={}).json["uuid"]
    worker.work()

    repaired = client.post(f"/v2/executions/{failed}/repair", json={}).json["uuid"]
    worker.work()

    report = client.get(f"/v2/executions/{repaired}").json
    assert report["status"] == "succeeded"
    assert [call["layer"] for call in model.calls(execution=repaired)] == ["said/0/rounds[1]"]
    assert report["properties"][0]["layers"][0]["details"]["emitted"] == [{"tool": "note", "payload": {"text": "a"}}]
