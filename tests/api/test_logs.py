"""What is logged of a request and an execution: ids, states, times; never what a caller or a model wrote."""

import io
import json
import logging

import pytest

from shared.log import Formatter
from tests.api.definitions import asks, pipeline

CANARIES = {name: f"canary-{name}-5e1f" for name in ("input", "prompt", "answer", "tag", "metadata", "user", "error")}


@pytest.fixture
def logged():
    """All JSON lines that are logged during the test, by any logger, at any level."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def execute(client, publish, worker, model):
    """Run an execution that is full of canaries, and fails in its second property."""

    def execute():
        publish(
            pipeline(
                asks(f"{CANARIES['prompt']} {{{{film}}}}", name="good"),
                asks("bad", name="bad"),
                inputs=[{"name": "film"}],
            )
        )
        model.script([
            {"match": "bad", "status": 400, "body": CANARIES["error"]},
            {"answer": CANARIES["answer"]},
        ])
        body = {
            "inputs": {"film": CANARIES["input"]},
            "tags": {"a": CANARIES["tag"]},
            "metadata": {"a": CANARIES["metadata"]},
            "end_user": CANARIES["user"],
        }
        found = client.post("/v2/pipelines/pipeline/versions/1/executions", json=body).json
        worker.work()
        return found

    return execute


def test_nothing_that_was_written_is_logged(client, execute, logged):
    found = execute()
    client.get(f"/v2/executions/{found['id']}")
    client.get(f"/v2/executions?end_user={CANARIES['user']}&tag=a:{CANARIES['tag']}")

    text = json.dumps(logged())
    assert found["uuid"] in text
    assert [name for name, canary in CANARIES.items() if canary in text] == []


def test_nothing_of_a_refused_request_is_logged(client, anonymous, publish, logged):
    version = publish(pipeline(asks("x")))
    canary = CANARIES["input"]

    for body in ({"inputs": {canary: canary}}, {canary: canary}, {"priority": canary}, canary):
        client.post("/v2/pipelines/pipeline/versions/1/executions", json=body)
    body = {"orchestrator_uuid": str(version.pipeline_uuid), "inputs": [{"name": canary, "value": canary}]}
    client.post("/v1/orchestrators/execute", json=body)
    anonymous.get("/v2/executions", headers={"Authorization": f"Bearer {canary}"})

    lines = logged()
    assert [line["status"] for line in lines if line["event"] == "request answered"] == [422, 422, 422, 422, 400, 401]
    assert canary not in json.dumps(lines)


def test_a_key_is_never_logged(client, execute, logged):
    execute()
    client.get("/v2/executions")

    assert client.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ") not in json.dumps(logged())


def test_a_request_is_one_line_with_its_id_and_route(client, logged):
    client.get("/v2/executions/17?a=b", headers={"X-Request-Id": "my-own"})

    (line,) = [each for each in logged() if each["event"] == "request answered"]
    assert (line["request"], line["method"], line["route"], line["status"]) == (
        "my-own", "GET", "/v2/executions/<execution>", 404
    )  # fmt: skip
    assert line["seconds"] < 5


def test_the_life_of_an_execution_is_logged_with_its_id(execute, logged):
    found = execute()

    told = [(each["event"], each["attempt"]) for each in logged() if each.get("execution") == found["uuid"]]
    assert told[0] == ("execution started", 1)
    assert told[-1] == ("execution failed", 1)
