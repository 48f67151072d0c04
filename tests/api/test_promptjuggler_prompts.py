"""A version as the prompt that PromptJuggler knows: model, parameters, format, messages and tools."""

import json

import pytest

from tests.api.definitions import asks, pipeline

KEYS = {
    "id", "promptId", "memory", "provider", "model", "modelParams", "responseFormat", "systemInstruction", "messages",
    "tools",
}  # fmt: skip
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.fixture
def shown(client, publish):
    """Publish a prompt with these settings, and show it."""

    def shown(*, memory="stateless", **settings):
        publish(pipeline(asks("Say {{a}}.", **settings), inputs=[{"name": "a"}], output="answer", memory=memory))
        answer = client.get("/api/v1/prompts/pr_pipeline/__latest__")
        assert answer.status_code == 200
        return answer.json

    return shown


def test_a_prompt_is_shown(client, publish):
    version = publish(
        pipeline(asks("Say {{a}}.", model="gpt-4o", system="Be brief."), inputs=[{"name": "a"}], output="answer")
    )

    found = client.get("/api/v1/prompts/pipeline/1").json

    assert set(found) == KEYS
    assert (found["id"], found["promptId"]) == (str(version.uuid), str(version.pipeline_uuid))
    assert (found["provider"], found["model"], found["memory"]) == ("openai", "gpt-4o", "stateless")
    assert found["systemInstruction"] == "Be brief."
    assert found["messages"] == [{"role": "user", "content": "Say {{a}}."}]
    assert (found["responseFormat"], found["tools"]) == ({"type": "text"}, [])


def test_a_prompt_that_names_no_model_has_the_default_one(shown, settings):
    assert shown()["model"] == settings.known_providers().default_model


def test_parameters_are_told_and_the_others_null(shown):
    found = shown(temperature=0.5, max_tokens=100)["modelParams"]

    told = {name: value for name, value in found.items() if value is not None}
    assert told == {"temperature": 0.5, "maxCompletionTokens": 100}
    assert len(found) == 7


@pytest.mark.parametrize("memory", ["stateless", "read_only", "read_write", "write_only"])
def test_memory_is_told(shown, memory):
    assert shown(memory=memory)["memory"] == memory


def test_a_schema_is_told_as_a_text(shown):
    found = shown(output={"type": "json_schema", "schema": SCHEMA, "name": "thing"})["responseFormat"]

    assert json.loads(found.pop("schema")) == SCHEMA
    assert found == {"type": "json_schema", "name": "thing", "strict": True, "description": None}


def test_an_output_of_json_is_an_object(shown):
    assert shown(output="json")["responseFormat"] == {"type": "json_object"}


def test_system_messages_are_the_instruction(client, publish):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "{{a}}"},
    ]
    layer = {"kind": "prompt", "messages": messages}
    publish(pipeline({"name": "p", "layers": [layer]}, inputs=[{"name": "a"}], output="p"))

    found = client.get("/api/v1/prompts/pipeline/1").json

    assert (found["systemInstruction"], found["messages"]) == ("Be kind.", messages[1:])


def test_tools_that_go_elsewhere_are_told(shown):
    headers = {"X-Token": "${TOKEN}"}
    found = shown(
        tools=[
            {"type": "http", "name": "look", "url": "https://example.com/{{a}}", "headers": headers, "fail_fast": True},
            {"type": "emit", "name": "show", "description": "Shows.", "params_schema": SCHEMA},
            {"type": "mcp", "name": "files", "url": "https://example.com/mcp", "authorization_token": "${TOKEN}"},
        ]
    )["tools"]

    http, emit, mcp = found
    assert json.loads(http.pop("paramsSchema"))["type"] == "object"
    assert http == {
        "type": "http", "name": "look", "description": None, "failFast": True, "url": "https://example.com/{{a}}",
        "method": "GET", "headers": [{"key": "X-Token", "value": "${TOKEN}"}],
    }  # fmt: skip
    assert json.loads(emit.pop("paramsSchema")) == SCHEMA
    assert emit == {"type": "emit", "name": "show", "description": "Shows.", "failFast": False}
    assert mcp == {
        "type": "mcp", "name": "files", "url": "https://example.com/mcp", "authorizationToken": "${TOKEN}",
        "allowedTools": None,
    }  # fmt: skip


def test_a_token_that_is_written_out_is_not_told(shown):
    tool = {"type": "mcp", "name": "files", "url": "https://example.com/mcp", "authorization_token": "sk-secret-token"}

    assert shown(tools=[tool])["tools"][0]["authorizationToken"] is None


@pytest.mark.parametrize(("output", "kind"), [("answer", "prompt"), (None, "workflow")])
@pytest.mark.parametrize(("version", "told"), [("latest", "__latest__"), (1, 1)])
def test_tools_that_are_pipelines_are_told_by_what_they_are(shown, publish, output, kind, version, told):
    inner = publish(pipeline(asks("x"), output=output), handle="inner")

    found = shown(tools=[{"type": "pipeline", "name": "ask", "handle": "inner", "version": version}])["tools"]

    reference = {"definitionId": str(inner.pipeline_uuid), "idOrTag": told}
    assert found == [{"type": kind, "versionRef": reference, "name": "ask", "description": None, "failFast": False}]


def test_a_tool_that_searches_knowledge_names_the_base(shown, client):
    base = client.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"}).json

    found = shown(tools=[{"type": "knowledge", "name": "find", "folder": "manuals"}])["tools"]

    named = {"type": "knowledge_search", "name": "find", "description": None, "failFast": False}
    assert found == [{**named, "knowledgeBaseId": base["uuid"]}]


def test_a_pipeline_that_asks_no_model_is_no_prompt(client, publish):
    layer = {"kind": "text", "value": "x"}
    publish(pipeline({"name": "p", "layers": [layer]}, output="p"))

    answer = client.get("/api/v1/prompts/pipeline/1")

    assert (answer.status_code, answer.json) == (404, {"error": "Prompt revision not found"})


def test_a_workflow_is_no_prompt(client, publish):
    publish(pipeline(asks("x")))

    assert client.get("/api/v1/prompts/pipeline/1").status_code == 404
