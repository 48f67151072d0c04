"""Every answer of PromptJuggler's wire, held against what its strictest clients accept."""

import io

import pytest

from tests.api.definitions import asks, pipeline
from tests.api.promptjuggler_shapes import wrong

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
EMIT = {"type": "emit", "name": "show", "params_schema": SCHEMA}
PAID = {"model": "paid/small"}


def right(name, answer):
    assert answer.status_code == 200
    assert list(wrong(name, answer.json)) == []
    return answer.json


@pytest.fixture
def runs(client, worker, publish):
    """Run a property of these settings as a prompt and as a workflow; both are given before and after their end."""

    def runs(**settings):
        found = []
        for kind, output in (("prompt", "answer"), ("workflow", None)):
            publish(pipeline(asks("Say {{a}}.", **settings), inputs=[{"name": "a"}], output=output), handle=kind)
            started = client.post(f"/api/v1/{kind}s/{kind}/1/runs", json={"inputs": {"a": "x"}})
            path = f"/api/v1/{kind}runs/{right('Created', started)['id']}"
            before = right(f"{kind.capitalize()}Run", client.get(path))
            worker.work()
            found.append((before, right(f"{kind.capitalize()}Run", client.get(path))))
        return found

    return runs


@pytest.mark.parametrize(
    ("layer", "status"),
    [
        ({}, "completed"),
        (PAID, "completed"),
        ({"output": "json"}, "completed"),
        ({"tools": [EMIT], **PAID}, "completed"),
        ({"model": "demo:status=400", "retry": {"attempts": 1}}, "failed"),
        ({"model": "demo:status=500,times=1", "retry": {"attempts": 2}}, "completed"),
    ],
)
def test_runs_are_as_strict_clients_want_them(runs, layer, status):
    for before, after in runs(**layer):
        assert (before["status"], after["status"]) == ("pending", status)


def test_what_is_handed_over_is_told_twice(runs):
    (_, prompt), _ = runs(tools=[EMIT])

    [emitted] = prompt["emitted"]
    assert emitted["tool"] == "show"
    assert {"type": "data", **emitted} in prompt["transcript"]
    texts = [each["content"] for each in prompt["transcript"] if each["type"] == "text"]
    assert "".join(texts) == prompt["output"]


def test_revisions_are_as_strict_clients_want_them(client, publish):
    publish(pipeline(asks("x")), handle="inner")
    client.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"})
    tools = [
        EMIT,
        {"type": "http", "name": "look", "url": "https://example.com", "headers": {"A": "b"}},
        {"type": "mcp", "name": "files", "url": "https://example.com/mcp"},
        {"type": "pipeline", "name": "ask", "handle": "inner"},
        {"type": "knowledge", "name": "find", "folder": "manuals"},
    ]
    output = {"type": "json_schema", "schema": SCHEMA}
    publish(pipeline(asks("x", tools=tools, output=output, temperature=1), output="answer"))

    found = right("PromptRevision", client.get("/api/v1/prompts/pipeline/1"))

    assert len(found["tools"]) == len(tools)


def test_knowledge_is_as_strict_clients_want_it(client):
    client.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"})
    fields = {"files[0]": (io.BytesIO(b"Some text."), "a.txt")}

    uploaded = client.post("/api/v1/knowledge-bases/manuals/documents", data=fields)

    assert [list(wrong("KnowledgeDocument", each)) for each in uploaded.json] == [[]]
    right("KnowledgeBase", client.get("/api/v1/knowledge-bases/manuals"))
    right("KnowledgeDocument", client.get(f"/api/v1/knowledge-documents/{uploaded.json[0]['id']}"))


def test_tokens_and_errors_are_as_strict_clients_want_them(client):
    right("StreamToken", client.post("/api/v1/threads/0c5d1a0e-7c1f-4f0e-9a52-1f6f2b8e5a11/stream-token"))

    assert list(wrong("Error", client.get("/api/v1/prompts/none/1").json)) == []
