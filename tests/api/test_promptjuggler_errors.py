"""PromptJuggler's failures: `{"error": text}` on every path of its own, and one text for all faults of a body."""

from uuid import uuid4

import pytest

from api.facades.promptjuggler import FACADE
from shared import db, organizations
from tests.api.definitions import REVIEW
from tests.factories import NOBODY, change

PROMPT = {**REVIEW, "output": "review"}
RUNS = "/api/v1/prompts/pipeline/1/runs"


@pytest.fixture
def start(client, publish):
    publish(PROMPT)

    def start(path=RUNS, **body):
        return client.post(path, json={"inputs": {"film": "Avatar"}, **body})

    return start


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/api/v1/prompts/none/1", "Prompt revision not found"),
        ("GET", "/api/v1/prompts/pipeline/7", "Prompt revision not found"),
        ("GET", f"/api/v1/promptruns/{NOBODY}", "Prompt run not found"),
        ("GET", "/api/v1/promptruns/1", "Prompt run not found"),
        ("GET", f"/api/v1/workflowruns/{NOBODY}", "Workflow run not found"),
        ("GET", "/api/v1/knowledge-bases/none", "Knowledge base not found"),
        ("GET", f"/api/v1/knowledge-documents/{NOBODY}", "Knowledge document not found"),
        ("DELETE", f"/api/v1/knowledge-documents/{NOBODY}", "Knowledge document not found"),
        ("POST", "/api/v1/threads/none/stream-token", "Thread not found"),
        ("GET", "/api/v1/promptruns", "Not found"),
        ("GET", "/api/v1/workflows/x", "Not found"),
    ],
)
def test_what_is_not_there_is_named(client, publish, method, path, text):
    publish(PROMPT)

    answer = client.open(path, method=method)

    assert (answer.status_code, answer.content_type, answer.json) == (404, "application/json", {"error": text})


@pytest.mark.parametrize(
    ("kind", "text"), [("prompts", "Prompt revision not found"), ("workflows", "Workflow version not found")]
)
def test_a_start_of_what_is_not_there_is_not_found(start, kind, text):
    answer = start(f"/api/v1/{kind}/none/1/runs")

    assert (answer.status_code, answer.json) == (404, {"error": text})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"inputs": {}}, "Missing inputs: film"),
        ({"inputs": {"film": "x", "b": "", "a": ""}}, "Unknown inputs: a, b"),
        ({"inputs": {"b": ""}}, "Missing inputs: film; Unknown inputs: b"),
        ({"envVars": {"fooBar": "x", "GOOD": "y"}}, "envVars: keys must be UPPER_CASE: fooBar"),
        ({"thread": "none"}, "thread: not a valid UUID"),
        ({"inputs": {"film": 3}}, "inputs.film: not a valid string"),
        ({"channel": "a b"}, "channel: must be 1 to 64 letters, digits, `.`, `_` or `-`"),
        ({"metadata": {"a": [1]}}, "metadata.a: must be a string or a list of strings"),
        ({"priority": "high"}, "priority: must be one of: onsite, normal, low"),
        ({"environment": "nowhere"}, "environment: does not exist"),
        ({"surprise": 1}, "surprise: is not a field here"),
    ],
)
def test_faults_of_a_start_are_named(start, body, text):
    answer = start(**body)

    assert (answer.status_code, answer.json) == (422, {"error": text})


def test_every_fault_is_named_at_once(start):
    answer = start(inputs={"b": "x"}, envVars={"low": "x"}, priority="high", thread="none")

    assert answer.status_code == 422
    assert all(
        each in answer.json["error"]
        for each in ("Missing inputs: film", "Unknown inputs: b", "UPPER_CASE: low", "priority: ", "thread: ")
    )


def test_a_body_without_inputs_is_refused(client, publish):
    publish(PROMPT)

    answer = client.post(RUNS, json={})

    assert (answer.status_code, answer.json) == (422, {"error": "inputs: is required"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": "{", "content_type": "application/json"}, 400),
        ({"data": "a=b"}, 415),
        ({"data": b" " * (2 << 20), "content_type": "application/json"}, 413),
    ],
)
def test_a_body_that_cannot_be_read_is_told_in_its_shape(client, publish, sent, status):
    publish(PROMPT)

    answer = client.post(RUNS, **sent)

    assert (answer.status_code, set(answer.json)) == (status, {"error"})


@pytest.mark.parametrize("path", ["/api/v1/prompts/a/1", f"/api/v1/promptruns/{NOBODY}", "/api/v1/knowledge-bases/x"])
def test_no_key_is_told_in_its_words(anonymous, path):
    answer = anonymous.get(path)

    assert (answer.status_code, answer.json) == (401, {"error": "Missing or invalid API key"})


def test_a_key_without_the_scope_is_forbidden(anonymous, organization, make_key):
    headers = {"Authorization": f"Bearer {make_key(organization, 'read')}"}

    answer = anonymous.post(RUNS, json={"inputs": {}}, headers=headers)

    assert (answer.status_code, answer.json) == (403, {"error": "This API key lacks the scope execute"})


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", RUNS), ("DELETE", f"/api/v1/promptruns/{NOBODY}"), ("GET", "/api/v1/threads/x/stream-token")],
)
def test_a_method_that_a_path_has_not_is_told_in_its_shape(client, method, path):
    answer = client.open(path, method=method)

    assert (answer.status_code, answer.json) == (405, {"error": "Method not allowed"})
    assert answer.headers["Allow"]


def test_a_limit_is_told_in_its_shape(client, publish):
    publish(PROMPT)
    with db.transaction() as connection:
        organizations.limit(connection, "acme", per_minute=1)

    codes = [client.post(RUNS, json={"inputs": {"film": "x"}}) for _ in range(2)]

    assert [each.status_code for each in codes] == [200, 429]
    assert set(codes[1].json) == {"error"}
    assert codes[1].headers["Retry-After"]


def test_what_is_anothers_is_what_is_nobodys(start, stranger):
    name = start().json["id"]

    answers = [stranger.get(f"/api/v1/promptruns/{each}") for each in (name, uuid4())]

    assert [(each.status_code, each.json) for each in answers] == [(404, {"error": "Prompt run not found"})] * 2


def test_a_thread_of_another_organization_is_another_thread(start, stranger, client):
    thread = str(uuid4())
    start(thread=thread)
    stranger.put("/v2/pipelines/pipeline", json=PROMPT)

    answer = stranger.post(RUNS, json={"inputs": {"film": "x"}, "thread": thread})

    assert (answer.status_code, answer.json["thread"]) == (200, thread)
    assert client.get(f"/v2/executions?thread={thread}").json["executions"][1:] == []


def test_a_result_that_has_expired_is_not_found(start, client, worker):
    name = start().json["id"]
    worker.work()
    change("UPDATE executions SET expires_at = now() - interval '1 second' WHERE uuid = :name", name=name)

    answer = client.get(f"/api/v1/promptruns/{name}")

    assert (answer.status_code, answer.json) == (404, {"error": "Prompt run not found"})


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/api/v1/prompts/a/1", True),
        ("/api/v1/prompts/a/1/runs", True),
        ("/api/v1/prompts/a/1/none", False),
        ("/api/v1/prompts/5/executions", False),
        ("/api/v1/prompts/5", False),
        ("/api/v1/prompts", False),
        ("/api/v1/workflows", True),
        ("/api/v1/workflowsome", False),
        ("/api/v1/knowledge-bases/x/y/z", True),
        ("/stream/x", True),
        ("/streams", False),
        ("//api//v1/promptruns/", True),
        ("/v2/threads", False),
    ],
)
def test_paths_belong_to_this_wire_or_to_others(path, owned):
    assert FACADE.owns(path) is owned


def test_what_breaks_is_told_in_its_shape(app, client, settings):
    db.connect("postgresql://nobody@127.0.0.1:9/none")

    answer = client.get("/api/v1/prompts/a/1")

    assert (answer.status_code, set(answer.json)) == (503, {"error"})
    assert answer.headers["Retry-After"]
