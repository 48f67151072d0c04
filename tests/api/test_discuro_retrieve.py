"""Discuro's retrieve: the documented answers, key by key in their order, for every state of an execution."""

import json
import re

import pytest

from api import accepting
from shared.keys import Caller
from tests.api.definitions import REVIEW, asks, node_ids, pipeline

MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
NOT_FOUND = '{"error": "Operation failed - execution_log not found", "meta_data": null}'
#: What OpenAI answers, with its own spaces, and letters beyond ASCII.
UPSTREAM = '{\n  "error": {\n    "message": "Zu lang – \\"x\\"",\n    "type": "invalid_request_error"\n  }\n}\n'
LIST_OF_OBJECTS = {
    "type": "json_schema",
    "schema": {"type": "array", "items": {"type": "object", "properties": {"author_name": {"type": "string"}}}},
}


@pytest.fixture
def execute(client, publish):
    """Publish a definition, start it, and return the execution's id."""

    def execute(definition, **inputs):
        uuid = str(publish(definition).pipeline_uuid)
        pairs = [{"name": name, "value": value} for name, value in inputs.items()]
        return client.post("/v1/orchestrators/execute", json={"orchestrator_uuid": uuid, "inputs": pairs}).json["id"]

    return execute


@pytest.fixture
def retrieve(client):
    return lambda execution_id: client.post(f"/v1/executions/retrieve?id={execution_id}")


@pytest.fixture
def ids(app, organization):
    """The integer ids of an execution's properties and layers, by name and path."""

    def ids(execution_id):
        with app.app_context():
            return node_ids(accepting.find(Caller(organization, 0, frozenset()), execution_id))

    return ids


def timeless(text):
    """The text with every time replaced by a word, so that the rest can be compared byte for byte."""
    return MOMENT.sub("TIME", text)


def test_what_has_not_ended_is_started(execute, retrieve):
    execution_id = execute(REVIEW, film="Avatar")

    answer = retrieve(execution_id)

    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.text == f'{{"id": {execution_id}, "status": "started"}}'


def test_what_runs_is_started(execute, retrieve, model, working):
    model.script([{"latency_ms": 500}])
    execution_id = execute(REVIEW, film="Avatar")

    with working():
        model.wait_for(lambda totals: totals["in_flight"] == 1)
        answer = retrieve(execution_id)

    assert answer.json == {"id": execution_id, "status": "started"}


def test_a_success_is_the_documented_answer(execute, retrieve, model, worker):
    model.script([{"answer": '{"value":[{"author_name":"Ö"}]}'}])
    definition = pipeline(asks("Who?", name="authors", output=LIST_OF_OBJECTS), output="authors")
    execution_id = execute(definition)

    worker.work()

    assert timeless(retrieve(execution_id).text) == (
        f'{{"id": {execution_id}, "passed": true, "status": "ended", "transformation": '
        '{"data": [{"author_name": "Ö"}], "start": "TIME", "end": "TIME", '
        '"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}}'
    )


def test_without_an_output_the_data_is_an_object_of_all_properties(execute, retrieve, model, worker):
    model.script([{"match": "one", "answer": "1"}, {"match": "two", "answer": "2"}])
    execution_id = execute(pipeline(asks("one", name="a"), asks("two", name="b")))

    worker.work()

    assert retrieve(execution_id).json["transformation"]["data"] == {"a": "1", "b": "2"}


def test_a_failure_is_the_documented_answer(execute, retrieve, ids, model, worker):
    model.script([{"status": 400, "body": UPSTREAM}])
    execution_id = execute(pipeline(asks("Blog.", name="blogs")))

    worker.work()

    assert timeless(retrieve(execution_id).text) == (
        f'{{"id": {execution_id}, "status": "ended", "passed": false, "transformation": {{"results": '
        f'{{"{ids(execution_id)["blogs"]}": {{"start": "TIME", "end": "TIME", "passed": false, '
        f'"error": {json.dumps(UPSTREAM, ensure_ascii=False)}, "property": {{"name": "blogs"}}, '
        '"layer_results": null}}, "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, '
        '"data": {}, "start": "TIME", "end": "TIME"}}'
    )


def test_the_layers_of_a_failed_property_are_told_by_their_ids(execute, retrieve, ids, model, worker):
    model.script([{"match": "second", "status": 400, "body": UPSTREAM}, {"answer": "fine"}])
    execution_id = execute(pipeline(asks("first", "second", "third", name="blogs")))

    worker.work()

    known = ids(execution_id)
    found = retrieve(execution_id).json["transformation"]["results"][str(known["blogs"])]["layer_results"]
    assert [list(each) for each in found.values()] == [["start", "end", "passed", "error", "layer"]] * 2
    told = {key: (each["passed"], each["error"], each["layer"]) for key, each in found.items()}
    assert told == {
        str(known["blogs/0"]): (True, None, {"name": "0"}),
        str(known["blogs/1"]): (False, UPSTREAM, {"name": "1"}),
    }


def test_a_layer_is_told_by_its_own_name(execute, retrieve, model, worker):
    model.script([{"status": 400, "body": UPSTREAM}])
    layers = [{"kind": "prompt", "prompt": "x", "name": "write"}, {"kind": "text", "operation": "split"}]
    execution_id = execute(pipeline({"name": "blogs", "layers": layers}))

    worker.work()

    (blogs,) = retrieve(execution_id).json["transformation"]["results"].values()
    assert [each["layer"] for each in blogs["layer_results"].values()] == [{"name": "write"}]


def test_a_failure_keeps_the_results_of_the_other_properties(execute, retrieve, ids, model, worker):
    model.script([{"match": "bad", "status": 400, "body": UPSTREAM}, {"answer": "fine"}])
    definition = pipeline(asks("good", name="good"), asks("bad", name="bad"), asks("{{bad}}", name="after"))
    execution_id = execute(definition)

    worker.work()

    found = retrieve(execution_id).json["transformation"]
    known = ids(execution_id)
    told = {key: (each["property"], each["passed"], each["error"]) for key, each in found["results"].items()}
    assert told == {
        str(known["good"]): ({"name": "good"}, True, None),
        str(known["bad"]): ({"name": "bad"}, False, UPSTREAM),
    }
    assert found["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def test_our_own_faults_are_told_as_plain_text(execute, retrieve, model, worker):
    model.script([{"mode": "length", "answer": "cut in half"}])
    execution_id = execute(pipeline(asks("x")))

    worker.work()

    (result,) = retrieve(execution_id).json["transformation"]["results"].values()
    assert result["error"].startswith("the answer was cut at its token limit:")


def test_a_cancelled_execution_has_failed_where_it_ran(execute, retrieve, client, model, working, until):
    model.script([{"match": "slow", "latency_ms": 20_000}, {"answer": "fine"}])
    execution_id = execute(pipeline(asks("fast", name="fast"), asks("slow", name="slow"), asks("{{slow}}", name="no")))

    with working():
        until(lambda: model.totals()["answered"] == 1 and model.totals()["in_flight"] == 1)
        client.post(f"/v2/executions/{execution_id}/cancel")

    found = retrieve(execution_id).json
    assert (list(found), found["status"], found["passed"]) == (
        ["id", "status", "passed", "transformation"], "ended", False
    )  # fmt: skip
    assert list(found["transformation"]) == ["results", "usage", "data", "start", "end"]
    told = {each["property"]["name"]: each["error"] for each in found["transformation"]["results"].values()}
    assert told == {"fast": None, "slow": "cancelled"}


def test_what_is_cancelled_before_it_ran_has_no_results(execute, retrieve, client):
    execution_id = execute(REVIEW, film="Avatar")

    client.post(f"/v2/executions/{execution_id}/cancel")

    answer = retrieve(execution_id)
    assert timeless(answer.text) == (
        f'{{"id": {execution_id}, "status": "ended", "passed": false, "transformation": {{"results": {{}}, '
        '"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, "data": {}, '
        '"start": "TIME", "end": "TIME"}}'
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_id_comes_from_the_query_before_the_body(execute, client, method):
    execution_id = execute(REVIEW, film="Avatar")

    answer = client.open(f"/v1/executions/retrieve?id={execution_id}", method=method, json={"id": 1})

    assert answer.json == {"id": execution_id, "status": "started"}


@pytest.mark.parametrize("write", [int, str])
def test_the_id_comes_from_the_body_without_a_query(execute, client, write):
    execution_id = execute(REVIEW, film="Avatar")

    answer = client.post("/v1/executions/retrieve", json={"id": write(execution_id)})

    assert answer.json == {"id": execution_id, "status": "started"}


@pytest.mark.parametrize(
    "given",
    ["1", "0", "-1", "1.0", "1e3", "9" * 18, "9" * 19, "9" * 5000, "", "abc", "0x1", "１", "1 ", "%00", "null", "None"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_id_of_ours_is_not_found(client, method, given):
    answer = client.open(f"/v1/executions/retrieve?id={given}", method=method)

    assert (answer.status_code, answer.text) == (400, NOT_FOUND)


@pytest.mark.parametrize("given", [1, -1, 1.5, True, None, "", "a", [1], {"id": 1}, 10**18, 10**19, "1\0"])
def test_what_is_no_id_of_ours_in_a_body_is_not_found(client, given):
    answer = client.post("/v1/executions/retrieve", json={"id": given})

    assert (answer.status_code, answer.text) == (400, NOT_FOUND)


@pytest.mark.parametrize("body", [{}, [], 5, "id", None, [{"id": 1}]])
def test_a_body_without_an_id_is_not_found(client, body):
    answer = client.post("/v1/executions/retrieve", json=body)

    assert (answer.status_code, answer.text) == (400, NOT_FOUND)


def test_no_id_at_all_is_not_found(client):
    assert client.get("/v1/executions/retrieve").text == NOT_FOUND
    assert client.post("/v1/executions/retrieve").text == NOT_FOUND


def test_an_execution_of_another_organization_is_not_found(execute, stranger, worker):
    execution_id = execute(REVIEW, film="Avatar")
    worker.work()

    answer = stranger.post(f"/v1/executions/retrieve?id={execution_id}")

    assert (answer.status_code, answer.text) == (400, NOT_FOUND)


def test_ids_of_both_wires_are_the_same(execute, client):
    execution_id = execute(REVIEW, film="Avatar")

    assert client.get(f"/v2/executions/{execution_id}").json["id"] == execution_id
