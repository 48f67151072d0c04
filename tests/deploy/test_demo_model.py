"""The demo model's good answers, its script and what it books, seen through the real client."""

import json
import math
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import openai
import pytest
from openai import OpenAI

from deploy.demo_model.embedded import Model, start_in_thread

HAMLET = [{"role": "user", "content": "Write a short review of Hamlet."}]
REVIEW = {
    "type": "object",
    "properties": {
        "author_name": {"type": "string"},
        "review": {"type": "string", "minLength": 10, "maxLength": 400},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["author_name", "review", "score"],
    "additionalProperties": False,
}


def ask(client: OpenAI, model: str = "demo", **wanted: Any) -> Any:
    return client.chat.completions.create(model=model, messages=wanted.pop("messages", HAMLET), **wanted)


def test_answer_mentions_the_prompt_and_counts_tokens(client):
    answer = ask(client)

    assert "Hamlet" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 10


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_answer_is_cut_where_it_may_be_no_longer(client, name):
    whole, cut = ask(client), ask(client, **{name: 11})

    assert 0 < cut.usage.completion_tokens <= 11 < whole.usage.completion_tokens
    assert cut.choices[0].finish_reason == "length"
    assert whole.choices[0].message.content.startswith(cut.choices[0].message.content)


def test_same_messages_get_the_same_answer_with_another_id(client):
    one, other = ask(client), ask(client)

    assert one.choices == other.choices
    assert one.id.startswith("chatcmpl-")
    assert one.id != other.id


def test_another_seed_gives_another_answer(client):
    with start_in_thread(seed=1) as seeded, OpenAI(base_url=seeded.base_url, api_key="sk") as other:
        answers = {ask(each).choices[0].message.content for each in (client, other)}

    assert len(answers) == 2


def test_stream_has_the_text_of_the_whole_answer_and_its_usage(client):
    whole = ask(client)

    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_json_object_is_an_object(client):
    answer = ask(client, response_format={"type": "json_object"})

    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@pytest.mark.parametrize(
    "schema",
    [
        REVIEW,
        {"type": "array", "items": REVIEW, "minItems": 5},
        {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
        {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/person"}], "$defs": {"person": REVIEW}},
        {"oneOf": [{"type": "integer", "minimum": 7, "maximum": 7}, {"type": "string"}]},
        {"allOf": [
            {"properties": {"title": {"type": "string"}}, "required": ["title"]},
            {"properties": {"year": {"type": "integer"}}, "required": ["year"]},
        ]},
        {"$ref": "#/$defs/node", "$defs": {"node": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["children"],
        }}},
        {"$ref": "#/$defs/node", "$defs": {"node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }}},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "integer", "exclusiveMinimum": 3, "maximum": 5, "multipleOf": 5},
        {"type": "integer", "minimum": 1_000_000},
        {"type": "integer", "maximum": -1000},
        {"type": ["string", "null"], "minLength": 50, "maxLength": 51},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{3}$"},
        {"type": "string", "format": "date-time"},
        {"type": "boolean"},
        {"type": "null"},
        {"const": {"a": [1, None]}},
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 4},
    ],
)  # fmt: skip
@pytest.mark.parametrize("topic", ["Hamlet", "the sea", "3 + 4"])
def test_structured_answer_is_an_instance_of_the_schema(client, schema, topic):
    wanted = {"type": "json_schema", "json_schema": {"name": "wanted", "schema": schema}}

    answer = ask(client, response_format=wanted, messages=[{"role": "user", "content": topic}])

    jsonschema.Draft202012Validator(schema).validate(json.loads(answer.choices[0].message.content))


def test_array_has_three_items_unless_told_otherwise(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "wanted", "schema": {"type": "array", "items": REVIEW}}}

    reviews = json.loads(ask(client, response_format=wanted).choices[0].message.content)

    assert len(reviews) == 3
    assert all(" " in review["author_name"] for review in reviews)


@pytest.mark.parametrize("encoding", ["float", "base64", openai.omit])
def test_embeddings_are_unit_vectors_of_the_wanted_size(client, encoding):
    answer = client.embeddings.create(
        model="demo", input=["Hamlet", "Othello"], dimensions=256, encoding_format=encoding
    )

    vectors = [each.embedding for each in answer.data]
    if encoding == "base64":
        assert [len(each) for each in vectors] == [1368, 1368]
        return
    assert [len(each) for each in vectors] == [256, 256]
    assert all(math.isclose(math.hypot(*each), 1, rel_tol=1e-5) for each in vectors)
    assert vectors[0] != vectors[1]


def test_embeddings_of_texts_that_share_words_are_near(client):
    texts = ["the prince of Denmark", "a prince in Denmark", "apple pie recipe"]
    prince, other, pie = (each.embedding for each in client.embeddings.create(model="demo", input=texts).data)

    def nearness(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    assert nearness(prince, other) > nearness(prince, pie) + 0.3


def test_models_are_listed(client):
    assert "demo" in [model.id for model in client.models.list()]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/chat/completions", b"{", 400),
        ("/chat/completions", b"[]", 400),
        ("/chat/completions", b'{"messages": [{"role": "user", "content": "hi"}]}', 400),
        ("/chat/completions", b'{"model": "demo", "messages": []}', 400),
        ("/chat/completions", b'{"model": "demo:mode=sideways", "messages": [{"role": "user", "content": "hi"}]}', 400),
        ("/chat/completions", b'{"model": "demo:latency=soon", "messages": [{"role": "user", "content": "hi"}]}', 400),
        ("/chat/completions", b'{"model": "demo:colour=red", "messages": [{"role": "user", "content": "hi"}]}', 400),
        ("/embeddings", b'{"model": "demo", "input": []}', 400),
        ("/completely/unknown", b"{}", 404),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openais_shape(demo_model, path, body, status):
    answer = httpx2.post(demo_model.base_url + path, content=body)

    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


def test_chunked_and_pipelined_requests_are_answered_in_order(demo_model, connect):
    with connect() as raw:
        raw.sendall(
            b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
            b"PUT /_behaviour HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: x\r\n\r\n"
            b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        received = b"".join(iter(lambda: raw.recv(65536), b""))

    assert [each[:3] for each in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]
    assert received.index(b'"list"') < received.index(b"Invalid URL")


def test_script_answers_with_text_or_json_while_it_has_times_left(demo_model, client):
    demo_model.script([
        {"match": "Hamlet", "answer": "To be.", "times": 1},
        {"match": "^Write .* Hamlet", "answer": {"be": False}},
    ])

    answers = [ask(client).choices[0].message.content for _ in range(3)]

    assert answers == ["To be.", '{"be": false}', '{"be": false}']


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({}, True),
        ({"match": "Macbeth"}, False),
        ({"model": "demo"}, True),
        ({"model": "gpt-4o"}, False),
        ({"layer": "reviews/write"}, True),
        ({"layer": "reviews/rank"}, False),
        ({"match": "(unbalanced"}, False),
    ],
)
def test_rule_applies_to_what_it_matches(demo_model, client, rule, applies):
    demo_model.script([{**rule, "answer": "scripted"}])

    answer = ask(client, "demo:latency=0", extra_headers={"X-Strata-Layer": "reviews/write"})

    assert (answer.choices[0].message.content == "scripted") is applies


def test_script_over_http_sets_raw_bodies_and_is_forgotten_on_demand(demo_model, client):
    behaviour = demo_model.base_url.removesuffix("/v1") + "/_behaviour"

    httpx2.put(behaviour, json={"script": [{"status": 418, "body": "short and stout"}]}).raise_for_status()
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client)
    httpx2.delete(behaviour).raise_for_status()

    assert (caught.value.status_code, caught.value.response.text) == (418, "short and stout")
    assert ask(client).choices


def test_script_that_makes_no_sense_changes_nothing(demo_model, client):
    demo_model.script([{"answer": "first"}])

    refused = httpx2.put(demo_model.base_url.removesuffix("/v1") + "/_behaviour", json={"script": [{"answr": "x"}]})

    assert refused.status_code == 400
    assert "answr" in refused.json()["error"]["message"]
    assert ask(client).choices[0].message.content == "first"


def test_calls_are_booked_with_their_headers_and_never_with_their_text(demo_model, client):
    headers = {
        "X-Strata-Execution": "e1",
        "X-Strata-Layer": "reviews/write",
        "X-Strata-Attempt": "2",
        "X-Strata-Call-Id": "c",
    }
    answer = ask(client, extra_headers=headers)
    ask(client, extra_headers={"X-Strata-Execution": "e2"})

    [call] = demo_model.calls(execution="e1", layer="reviews/write", model="demo")

    expected = {"execution": "e1", "layer": "reviews/write", "attempt": 2, "call_id": "c", "status": 200, "cut": False}
    assert call.items() >= expected.items()
    assert call["usage"] == answer.usage.model_dump(exclude_none=True)
    assert "Hamlet" not in json.dumps(demo_model.calls())


def test_calls_over_http_are_filtered_counted_and_forgotten(demo_model, client):
    root = demo_model.base_url.removesuffix("/v1")
    ask(client, extra_headers={"X-Strata-Execution": "e 1"})
    ask(client)

    listed = httpx2.get(f"{root}/_calls", params={"execution": "e 1", "layer": ""}).json()
    totals = httpx2.get(f"{root}/_calls/count").json()
    httpx2.delete(f"{root}/_calls").raise_for_status()

    assert (listed["count"], listed["in_flight"], len(listed["calls"])) == (1, 0, 1)
    assert totals == {"count": 2, "answered": 2, "in_flight": 0, "max_in_flight": 1}
    assert demo_model.totals()["count"] == 0


def test_log_has_arrivals_and_ends(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    with start_in_thread(log_file=log) as model, OpenAI(base_url=model.base_url, api_key="sk-secret") as client:
        ask(client, extra_headers={"X-Strata-Execution": "e1"})

    arrival, end = [json.loads(line) for line in log.read_text().splitlines()]

    assert arrival.keys() == {"call", "at", "path", "model", "execution", "layer", "attempt", "call_id"}
    assert end.keys() == {"call", "status", "seconds", "usage", "cut"}
    assert arrival["execution"] == "e1"
    assert "sk-secret" not in log.read_text()


def test_arrival_is_in_the_log_while_the_call_still_waits(tmp_path: Path, hang):
    log = tmp_path / "calls.jsonl"
    with start_in_thread(log_file=log) as model, hang(model):
        lines = log.read_text().splitlines()

    assert [json.loads(line)["model"] for line in lines] == ["demo:mode=silent"]


def test_client_that_leaves_is_booked_as_cut_at_once(demo_model: Model, hang):
    with hang(demo_model):
        assert demo_model.totals()["in_flight"] == 1

    demo_model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=5)

    assert [(call["cut"], call["status"]) for call in demo_model.calls()] == [(True, None)]
    assert demo_model.totals()["answered"] == 0
