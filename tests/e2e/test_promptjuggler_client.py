"""The vendor's own Python client against the Procfile's processes: every method, every error, every webhook."""

import json
import time
from uuid import UUID, uuid4

import pytest
from promptjuggler import ApiError, NetworkError, PromptJuggler, RunStatus, verify_webhook_signature
from standardwebhooks import Webhook

from deploy.local import ports
from shared import db, webhooks
from shared.sealing import Sealer
from tests import sink
from tests.factories import prompt_layer, source
from tests.waiting import until

pytestmark = pytest.mark.e2e
SETTINGS = {"STRATA_ALLOWED_NETWORKS": "127.0.0.0/8", "STRATA_QUEUES": "onsite,normal,low,documents,webhooks"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
INPUTS = [{"name": "topic", "required": True}]
PROMPT = source(prompt_layer("Speak of {{topic}}.", temperature=0.5), output="answer", inputs=INPUTS)
WORKFLOW = source(prompt_layer("Speak of {{topic}}."), inputs=INPUTS)
TOOLS = source(
    prompt_layer(
        "Show {{topic}}.",
        tools=[{"type": "emit", "name": "show", "params_schema": SCHEMA}],
        output={"type": "json_schema", "schema": SCHEMA},
    ),
    output="answer",
    inputs=INPUTS,
)
ECHO = source({"kind": "text", "value": "${WORD} of {{topic}}"}, output="answer", inputs=INPUTS)


@pytest.fixture
def vendor(http, api_url):
    """The client, with every pipeline published."""
    definitions = {"greeting": PROMPT, "onboarding": WORKFLOW, "showing": TOOLS, "echo": ECHO}
    for handle, definition in definitions.items():
        http.put(f"/v2/pipelines/{handle}", json=definition).raise_for_status()
    http.put("/v2/pipelines/greeting/tags/production", json={"version": 1}).raise_for_status()
    return PromptJuggler(http.headers["Authorization"].removeprefix("Bearer "), base_url=api_url)


@pytest.fixture
def working(start):
    """A worker of every queue."""
    return start("worker", **SETTINGS)


@pytest.fixture
def heard(organization):
    """What a webhook in the vendor's dialect is told, with its secret."""
    secret_keys = ["a key of the tests that seals secrets"]
    with sink.serving() as running:
        with db.transaction() as connection:
            events = ["execution.ended", "document.ended", "knowledge.ended"]
            found, secret = webhooks.create(
                connection, organization, Sealer(secret_keys), url=running.url, dialect="promptjuggler", events=events
            )
        running.uuid, running.secret = found.uuid, secret
        yield running


def ended(read, name):
    """Ask for a run until it has ended."""

    def found():
        run = read(name)
        return run.status != RunStatus.PENDING and run

    return until(found, seconds=30.0)


def test_a_prompt_is_run(vendor, working):
    created = vendor.run_prompt("greeting", "production", {"topic": "cats"}, priority="onsite", channel="support")

    run = ended(vendor.get_prompt_run, created.id)

    assert (run.status, run.error) == (RunStatus.COMPLETED, None)
    assert run.transcript[0].actual_instance.content == run.output
    assert run.token_usage.total == run.token_usage.input + run.token_usage.output > 0
    assert run.cost.total == pytest.approx((run.token_usage.input + 2 * run.token_usage.output) / 1e6)


def test_a_workflow_is_run(vendor, working):
    created = vendor.run_workflow("wf_onboarding", 1, {"topic": "cats"}, metadata={"user": "42", "tags": ["a", "b"]})

    run = ended(vendor.get_workflow_run, created.id)

    assert (run.status, run.errors) == (RunStatus.COMPLETED, [])
    assert isinstance(run.outputs["answer"], str)
    assert run.token_usage.total > 0


def test_a_thread_goes_on(vendor, working, http):
    http.put("/v2/pipelines/greeting", json={**PROMPT, "memory": "read_write"}).raise_for_status()
    thread = uuid4()

    first, second = (vendor.run_prompt("greeting", "__latest__", {"topic": each}, thread=thread) for each in "ab")
    ended(vendor.get_prompt_run, second.id)

    assert {first.thread, second.thread} == {thread}
    messages = http.get(f"/v2/threads/{thread}/messages").json()["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant"] * 2


def test_variables_of_one_run_are_filled_and_never_told(vendor, working, http):
    secret = "the-secret-of-one-run"

    created = vendor.run_prompt("echo", 1, {"topic": "x"}, env_vars={"WORD": secret})

    run = ended(vendor.get_prompt_run, created.id)
    assert run.output == "[WORD] of x"
    assert secret not in http.get(f"/v2/executions/{created.id}").text


def test_a_variable_that_nobody_gives_fails_the_run(vendor, working):
    created = vendor.run_prompt("echo", 1, {"topic": "x"})

    run = ended(vendor.get_prompt_run, created.id)

    assert run.status == RunStatus.FAILED
    assert "WORD" in run.error


def test_what_tools_hand_over_is_decoded(vendor, working):
    run = ended(vendor.get_prompt_run, vendor.run_prompt("showing", 1, {"topic": "cats"}).id)

    assert [each.tool for each in run.emitted] == ["show"]
    assert set(run.emitted[0].payload) == {"a"}
    assert "data" in [each.actual_instance.type for each in run.transcript]


def test_revisions_are_decoded(vendor):
    found = vendor.get_prompt("pr_greeting", 1)

    assert (found.provider.value, found.model_params.temperature, found.memory.value) == ("openai", 0.5, "stateless")
    assert found.response_format.actual_instance.type == "text"
    tool = vendor.get_prompt("showing", "__latest__").tools[0].actual_instance
    assert json.loads(tool.params_schema) == SCHEMA


def test_a_failed_run_is_decoded(vendor, working, http):
    failing = source(prompt_layer(model="demo:status=400"), output="answer")
    http.put("/v2/pipelines/failing", json=failing).raise_for_status()

    run = ended(vendor.get_prompt_run, vendor.run_prompt("failing", 1, {}).id)

    assert (run.status, run.output, run.emitted, run.transcript) == (RunStatus.FAILED, None, [], [])
    assert run.error


def test_knowledge_is_uploaded_read_and_deleted(vendor, working, http):
    http.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"}).raise_for_status()

    uploaded = vendor.upload_documents("kb_manuals", [("a.txt", b"Lamps are replaced."), ("b.md", b"# Cups\n\nNot.")])
    ready = [until(lambda each=each: _ready(vendor, each.id)) for each in uploaded]

    base = vendor.get_knowledge_base("manuals")
    assert [each.file_name for each in ready] == [each.file_name for each in base.documents] == ["a.txt", "b.md"]
    assert (base.status.value, base.document_count, base.chunk_count) == (
        "ready",
        2,
        sum(each.chunk_count for each in ready),
    )
    vendor.delete_knowledge_document(uploaded[0].id)
    assert vendor.get_knowledge_base("manuals").document_count == 1


def _ready(vendor, name):
    found = vendor.get_knowledge_document(name)
    return found.status.value == "ready" and found


def test_a_stream_token_opens_the_stream(vendor, http):
    thread = uuid4()

    found = vendor.create_stream_token(thread)

    headers = {"Authorization": f"Bearer {found.token}"}
    with http.stream("GET", found.url, headers=headers) as answer:
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    assert UUID(found.url.rpartition("/")[2]) == thread


@pytest.mark.parametrize(
    ("call", "status", "text"),
    [
        (lambda vendor: vendor.get_prompt("none", 1), 404, "Prompt revision not found"),
        (lambda vendor: vendor.run_prompt("none", 1, {}), 404, "Prompt revision not found"),
        (lambda vendor: vendor.run_workflow("none", 1, {}), 404, "Workflow version not found"),
        (lambda vendor: vendor.get_prompt_run(uuid4()), 404, "Prompt run not found"),
        (lambda vendor: vendor.get_workflow_run(uuid4()), 404, "Workflow run not found"),
        (lambda vendor: vendor.get_knowledge_base("none"), 404, "Knowledge base not found"),
        (lambda vendor: vendor.upload_documents("none", [("a.txt", b"x")]), 404, "Knowledge base not found"),
        (lambda vendor: vendor.get_knowledge_document(uuid4()), 404, "Knowledge document not found"),
        (lambda vendor: vendor.delete_knowledge_document(uuid4()), 404, "Knowledge document not found"),
        (lambda vendor: vendor.run_prompt("greeting", 1, {}), 422, "Missing inputs: topic"),
        (
            lambda vendor: vendor.run_prompt("greeting", 1, {"topic": "x"}, env_vars={"low": "x"}),
            422,
            "envVars: keys must be UPPER_CASE: low",
        ),
    ],
)
def test_errors_are_the_clients_own(vendor, call, status, text):
    with pytest.raises(ApiError) as caught:
        call(vendor)

    assert (caught.value.status_code, str(caught.value)) == (status, text)


def test_a_bad_key_is_told(vendor, api_url):
    with pytest.raises(ApiError) as caught:
        PromptJuggler("nonsense", base_url=api_url).get_prompt("greeting", 1)

    assert (caught.value.status_code, str(caught.value)) == (401, "Missing or invalid API key")


def test_a_key_without_the_scope_is_told(vendor, api_url, organization, make_key):
    with pytest.raises(ApiError) as caught:
        PromptJuggler(make_key(organization, "read"), base_url=api_url).run_prompt("greeting", 1, {"topic": "x"})

    assert (caught.value.status_code, str(caught.value)) == (403, "This API key lacks the scope execute")


def test_nobody_there_is_told():
    with pytest.raises(NetworkError):
        PromptJuggler("key", base_url=f"http://127.0.0.1:{ports.free()}").get_prompt("greeting", 1)


def test_every_webhook_is_verified_by_the_client(vendor, working, http, heard):
    http.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"}).raise_for_status()
    prompt = vendor.run_prompt("greeting", 1, {"topic": "x"})
    workflow = vendor.run_workflow("onboarding", 1, {"topic": "x"})
    [document] = vendor.upload_documents("manuals", [("a.txt", b"Lamps are replaced.")])

    told = until(lambda: len(heard.heard) >= 4 and {_event(each): json.loads(each.body) for each in heard.heard}, 30.0)

    base = vendor.get_knowledge_base("manuals")
    assert told == {
        "promptrun.finished": {"id": str(prompt.id), "status": "completed"},
        "workflowrun.finished": {"id": str(workflow.id), "status": "completed"},
        "knowledgedocument.finished": {"id": str(document.id), "status": "ready", "chunkCount": base.chunk_count},
        "knowledgebase.finished": {
            "id": str(base.id), "status": "ready", "documentCount": 1, "chunkCount": base.chunk_count,
        },
    }  # fmt: skip
    for each in heard.heard:
        signature = each.headers["promptjuggler-signature"]
        assert verify_webhook_signature(each.body.decode(), signature, heard.secret)
        assert not verify_webhook_signature(each.body.decode(), signature, heard.secret, now=int(time.time()) + 400)
        assert Webhook(heard.secret).verify(each.body, each.headers) == json.loads(each.body)


def _event(heard):
    return heard.headers["promptjuggler-event"]
