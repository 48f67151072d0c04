"""PromptJuggler's runs: what the starts answer, and what is told of a run while it goes on and at its end."""

from uuid import UUID, uuid4

import pytest

from tests.api.definitions import REVIEW, asks, pipeline
from tests.factories import change

PROMPT = {**REVIEW, "output": "review"}
WORKFLOW = pipeline(asks("{{a}}", name="first"), asks("{{a}}", name="second"), inputs=[{"name": "a"}])
RUN_KEYS = {"id", "status", "createdAt", "finishedAt", "tokenUsage", "cost"}
PROMPT_KEYS = RUN_KEYS | {"output", "emitted", "transcript", "error"}


def run(client, handle="pipeline", version="__latest__", kind="prompts", /, **body):
    return client.post(f"/api/v1/{kind}/{handle}/{version}/runs", json={"inputs": {"film": "Avatar"}, **body})


@pytest.fixture
def ran(client, worker):
    """Start a run, have it worked off, and read it."""

    def ran(kind="prompts", **body):
        started = run(client, "pipeline", "__latest__", kind, **body).json
        worker.work()
        return client.get(f"/api/v1/{kind.removesuffix('s')}runs/{started['id']}").json

    return ran


def test_a_start_answers_the_run_and_a_new_thread(client, publish):
    publish(PROMPT)

    answer = run(client)

    assert (answer.status_code, set(answer.json)) == (200, {"id", "thread"})
    assert UUID(answer.json["id"]) != UUID(answer.json["thread"])


def test_a_start_goes_on_with_the_thread_that_it_names(client, publish):
    publish(PROMPT)
    thread = str(uuid4())

    assert [run(client, thread=thread).json["thread"] for _ in range(2)] == [thread, thread]


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(("thread", "environment", "envVars", "metadata"))])
def test_what_is_left_out_may_be_null_too(client, publish, absent):
    publish(PROMPT)

    report = client.get(f"/v2/executions/{run(client, **absent).json['id']}").json

    assert (report["priority"], report["channel"], report["environment"]) == ("normal", "default", "default")
    assert report["metadata"] == {}


def test_what_a_start_names_is_kept(client, publish):
    publish(PROMPT)
    metadata = {"user_id": "42", "tags": ["a", "b"]}

    found = run(client, priority="low", metadata=metadata, channel="support")

    report = client.get(f"/v2/executions/{found.json['id']}").json
    assert (report["priority"], report["metadata"], report["channel"]) == ("low", metadata, "support")


def test_a_workflow_takes_no_channel(client, publish):
    publish(WORKFLOW)

    found = run(client, "pipeline", 1, "workflows", inputs={}, channel="support").json

    assert client.get(f"/v2/executions/{found['id']}").json["channel"] == "default"


def test_a_start_that_is_sent_again_is_answered_again(client, publish):
    publish(PROMPT)
    headers = {"Idempotency-Key": "once"}
    path = "/api/v1/prompts/pipeline/1/runs"

    first, second = (client.post(path, json={"inputs": {"film": "Avatar"}}, headers=headers) for _ in range(2))

    assert second.json == first.json
    assert second.headers["Idempotent-Replayed"] == "true"


def test_a_start_that_is_sent_again_after_the_results_have_expired_starts_nothing(client, publish, worker):
    publish(PROMPT)
    path, headers = "/api/v1/prompts/pipeline/1/runs", {"Idempotency-Key": "once"}
    first = client.post(path, json={"inputs": {"film": "Avatar"}}, headers=headers)
    worker.work()
    change("UPDATE executions SET expires_at = now() - interval '1 second'")

    second = client.post(path, json={"inputs": {"film": "Avatar"}}, headers=headers)

    assert (second.status_code, second.json) == (200, first.json)
    assert len(client.get("/v2/executions").json["executions"]) == 1


@pytest.mark.parametrize("slug", ["pipeline", "pr_pipeline", "uuid"])
@pytest.mark.parametrize("version", ["1", "production", "__latest__", "uuid"])
def test_prompts_are_found_by_every_name(client, publish, slug, version):
    found = publish(PROMPT)
    client.put("/v2/pipelines/pipeline/tags/production", json={"version": 1})
    names = {"slug": found.pipeline_uuid, "version": found.uuid}

    answer = run(client, names["slug"] if slug == "uuid" else slug, names["version"] if version == "uuid" else version)

    assert answer.status_code == 200


def test_a_draft_cannot_be_run(client, publish):
    publish(PROMPT)
    client.put("/v2/pipelines/pipeline?draft=true", json={**PROMPT, "name": "next"})

    assert (run(client, "pipeline", 2).status_code, run(client, "pipeline", "__latest__").status_code) == (404, 200)


def test_a_pending_run_has_nothing_yet(client, publish):
    publish(PROMPT)

    found = client.get(f"/api/v1/promptruns/{run(client).json['id']}").json

    nothing = {"finishedAt": None, "output": None, "error": None, "tokenUsage": None, "cost": None}
    assert set(found) == PROMPT_KEYS
    assert found == found | nothing | {"status": "pending", "emitted": [], "transcript": []}


def test_a_completed_prompt_gives_its_text(ran, publish):
    publish(PROMPT)

    found = ran()

    assert (found["status"], set(found)) == ("completed", PROMPT_KEYS)
    assert found["transcript"] == [{"type": "text", "content": found["output"], "citations": []}]
    assert found["finishedAt"] > found["createdAt"]
    assert set(found["tokenUsage"]) == {"input", "inputCached", "output", "reasoning", "total"}
    assert found["tokenUsage"]["input"] + found["tokenUsage"]["output"] == found["tokenUsage"]["total"] > 0
    assert (found["error"], found["cost"], found["emitted"]) == (None, None, [])


def test_an_output_that_is_no_text_is_json(ran, publish):
    layers = [{"kind": "extract", "value": "x", "expression": "{a: `[1]`}"}]
    publish({"inputs": [{"name": "film"}], "properties": [{"name": "p", "layers": layers}], "output": "p"})

    found = ran()

    assert (found["output"], found["transcript"][0]["content"]) == ('{"a":[1]}', '{"a":[1]}')


def test_a_failed_prompt_has_no_result(ran, publish, model):
    publish({**PROMPT, "properties": [asks("{{film}}", name="review", model="demo:status=400", retry={"attempts": 1})]})

    found = ran()

    assert found == found | {"status": "failed", "output": None, "emitted": [], "transcript": []}
    assert isinstance(found["error"], str)
    assert found["error"]


def test_a_cancelled_run_has_failed(client, publish):
    publish(PROMPT)
    name = run(client).json["id"]
    client.post(f"/v2/executions/{name}/cancel")

    found = client.get(f"/api/v1/promptruns/{name}").json

    assert (found["status"], found["error"]) == ("failed", "cancelled")


def test_a_workflow_gives_a_text_for_each_property(ran, publish):
    layers = [{"kind": "extract", "value": "x", "expression": "`[1, null]`"}]
    nothing = [{"kind": "extract", "value": "x", "expression": "`null`"}]
    publish(pipeline({"name": "list", "layers": layers}, {"name": "none", "layers": nothing}, asks("x", name="text")))

    found = ran("workflows", inputs={})

    assert set(found) == RUN_KEYS | {"outputs", "errors"}
    assert found["outputs"] == {"list": "[1,null]", "none": None, "text": found["outputs"]["text"]}
    assert isinstance(found["outputs"]["text"], str)
    assert (found["status"], found["errors"]) == ("completed", [])


def test_a_failed_workflow_tells_what_it_has_and_what_failed(ran, publish):
    good = {"name": "good", "layers": [{"kind": "extract", "value": "x", "expression": "`1`"}]}
    warned = {"name": "warned", "layers": [
        {"kind": "assert", "value": "x", "condition": "`false`", "message": "odd", "on_failure": "warn"},
    ]}  # fmt: skip
    publish(pipeline(good, warned, asks("x", name="bad", model="demo:status=400", retry={"attempts": 1})))

    found = ran("workflows", inputs={})

    assert (found["status"], found["outputs"]["good"]) == ("failed", "1")
    assert "bad" not in found["outputs"]
    assert [each.partition(":")[0] for each in found["errors"]] == ["warned", "bad"]


def test_a_run_of_the_other_kind_is_none(client, publish):
    publish(PROMPT)
    publish(WORKFLOW, handle="workflow")
    prompt, workflow = run(client).json["id"], run(client, "workflow", 1, "workflows", inputs={}).json["id"]

    wrong = [client.get(f"/api/v1/workflowruns/{prompt}"), client.get(f"/api/v1/promptruns/{workflow}")]
    wrong += [run(client, "workflow"), run(client, "pipeline", 1, "workflows")]

    assert [each.status_code for each in wrong] == [404] * 4


def test_a_priced_run_tells_its_cost_in_parts(ran, publish):
    publish({**PROMPT, "properties": [asks("{{film}}", name="review", model="paid/small")]})

    found = ran()

    tokens, cost = found["tokenUsage"], found["cost"]
    assert cost["success"]["input"] == pytest.approx(tokens["input"] / 1e6)
    assert cost["success"]["output"] == pytest.approx(tokens["output"] * 2 / 1e6)
    assert cost["total"] == cost["success"]["total"] > 0
    assert cost["retries"] == dict.fromkeys(cost["retries"], 0.0)


def test_what_was_asked_for_again_is_told_apart(ran, publish, model):
    output = {"type": "json_schema", "schema": {"type": "object"}}
    publish({**PROMPT, "properties": [asks("{{film}}", name="review", model="paid/small", output=output)]})
    model.script([{"answer": "no JSON", "times": 1}])

    found = ran()

    cost = found["cost"]
    assert found["status"] == "completed"
    assert cost["retries"]["total"] > 0
    assert cost["total"] == pytest.approx(cost["success"]["total"] + cost["retries"]["total"])


def test_a_run_with_a_call_that_has_no_price_has_no_cost(ran, publish):
    prompts = [{"kind": "prompt", "prompt": "x", "model": each} for each in ("paid/small", "unpriced")]
    publish(pipeline({"name": "p", "layers": prompts}, output="p"))

    assert ran(inputs={})["cost"] is None


def test_what_prompts_inside_of_other_layers_hand_over_is_told(ran, publish):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asking = {
        "kind": "prompt",
        "prompt": "{{item}}",
        "tools": [{"type": "emit", "name": "show", "params_schema": schema}],
    }
    publish(pipeline({"name": "p", "layers": [{"kind": "map", "items": "{{list}}", "layers": [asking]}]},
                     output="p", inputs=[{"name": "list", "type": "array"}]))  # fmt: skip

    found = ran(inputs={"list": "[1, 2]"})

    assert [each["tool"] for each in found["emitted"]] == ["show", "show"]
    assert [each["type"] for each in found["transcript"]] == ["data", "data", "text"]
    assert found["transcript"][-1]["content"] == found["output"]


def test_what_a_provider_says_of_tokens_is_told(ran, publish, model):
    publish(PROMPT)
    model.script([{"cached": 3, "reasoning": 2}])

    found = ran()["tokenUsage"]

    assert (found["inputCached"], found["reasoning"]) == (3, 2)
