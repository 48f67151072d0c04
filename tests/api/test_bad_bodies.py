"""Bodies that nobody means: on every wire a 4xx of that wire which names the fault, and nothing is written."""

import gzip
import json

import pytest

from tests.api.definitions import REVIEW
from tests.factories import NOBODY

JSON = "application/json"
YAML = "application/yaml"
#: Where bodies are read, and the content types that they may have there.
PLACES = {
    "prompt template": ("POST", "/v1/prompt-templates/execute", JSON),
    "orchestrator": ("POST", "/v1/orchestrators/execute", JSON),
    "execution": ("POST", "/v2/pipelines/pipeline/versions/latest/executions", JSON),
    "definition": ("PUT", "/v2/pipelines/another", JSON),
    "definition in YAML": ("PUT", "/v2/pipelines/another", YAML),
    "tag": ("PUT", "/v2/pipelines/pipeline/tags/live", JSON),
}
DEEP = {
    f"{count} {name}": opening * count
    for count in (33, 1_000, 100_000)
    for name, opening in {"lists": "[", "objects": '{"a":'}.items()
}
#: Cannot be read at all, neither as JSON nor as YAML.
UNREADABLE = {
    "broken": b'{"inputs": {"film": "x"',
    "not UTF-8": b'{"inputs": "\xff\xfe"}',
    "UTF-16": '{"inputs": {}}'.encode("utf-16"),
    "a key given twice": b'{"inputs": {}, "inputs": {}}',
    "a key given twice inside": b'{"inputs": {"film": "1", "film": "2"}}',
    "closed too often": b"{}}",
    **{name: text.encode() for name, text in DEEP.items()},
}
#: Cannot be read as JSON; YAML has words of its own for some of it.
NOT_JSON = {
    "empty": b"",
    "spaces": b"  \n ",
    "NaN": b'{"inputs": {"film": NaN}}',
    "Infinity": b'{"inputs": {"film": -Infinity}}',
    "too large a number": b'{"inputs": {"film": 1e999}}',
    "too long an integer": b'{"inputs": {"film": %s}}' % (b"9" * 5000),
    "a comma too many": b'{"inputs": {"film": "x"},}',
    "single quotes": b"{'inputs': {}}",
    "a form": b"inputs=1&film=2",
    "two documents": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
}
#: Can be read, and is no object.
NO_OBJECTS = {"list": "[]", "number": "3", "text": '"film"', "true": "true", "null": "null", "list of one": "[{}]"}


def is_refusal(answer, statuses, fields=("body",)):
    """Say whether it is an error of the wire that was asked, with one of the statuses, and names these fields."""
    if answer.request.path.startswith("/v1/"):
        named = all(field in answer.json["error"] for field in fields)
        return answer.status_code == 400 and list(answer.json) == ["error", "meta_data"] and named
    named = {each["field"] for each in answer.json.get("errors", ())} >= set(fields)
    return answer.status_code in statuses and answer.content_type == "application/problem+json" and named


@pytest.fixture
def send(client, publish, rows):
    """Send a body to a place, and see that nothing was written."""
    publish(REVIEW)

    def send(place, body, **headers):
        method, path, content_type = PLACES[place]
        before = rows()
        answer = client.open(
            path, method=method, data=body, content_type=headers.pop("content_type", content_type), headers=headers
        )
        assert rows() == before
        return answer

    return send


@pytest.mark.parametrize("place", PLACES)
def test_what_cannot_be_read_is_refused(send, place):
    for name, body in UNREADABLE.items():
        assert is_refusal(send(place, body), {400}), name


@pytest.mark.parametrize("place", [place for place in PLACES if "YAML" not in place])
def test_what_is_no_json_is_refused(send, place):
    for name, body in NOT_JSON.items():
        assert is_refusal(send(place, body), {400}), name


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_object_is_refused(send, place):
    for name, body in NO_OBJECTS.items():
        assert is_refusal(send(place, body), {422}), name


@pytest.mark.parametrize("place", PLACES)
def test_a_body_over_the_limit_is_refused(send, place):
    answer = send(place, b'{"a": "' + b"x" * 2_000_000 + b'"}')

    assert answer.status_code == 413
    assert "1048576" in answer.text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json", "", None])
def test_another_content_type_is_refused(send, place, content_type):
    assert is_refusal(send(place, b"{}", content_type=content_type), {415}, ())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused(send, place, encoding):
    answer = send(place, gzip.compress(b"{}"), **{"Content-Encoding": encoding})

    assert is_refusal(answer, {415}, ())


@pytest.mark.parametrize("place", PLACES)
def test_a_body_in_another_alphabet_is_read(send, place):
    answer = send(place, '{"größe": "…"}'.encode(), content_type=f"{PLACES[place][2]}; charset=utf-8")

    assert is_refusal(answer, {422}, ["größe"])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["\0", "\ud800", "a\udc00b"])
def test_texts_that_cannot_be_stored_are_refused(send, place, text):
    for body in ({"unknown": text}, {text: "unknown"}, {"inputs": [{"name": text, "value": {text: [text]}}]}):
        answer = send(place, json.dumps(body))
        assert is_refusal(answer, {400, 422}, ())
        answer.get_data().decode("utf-8")
        assert b"\\ud" not in answer.data


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"inputs.film"}),
        ({"inputs": {"film": ["x"], "more": 1}}, {"inputs.film", "inputs.more"}),
        ({"inputs": [], "tags": [], "metadata": [], "end_user": 1},
         {"inputs", "inputs.film", "tags", "metadata", "end_user"}),
        ({"inputs": None, "tags": None, "metadata": None, "end_user": None, "priority": None, "not_before": None},
         {"inputs", "inputs.film", "tags", "metadata", "end_user", "priority", "not_before"}),
        ({"inputs": {"film": "x"}, "priority": "highest", "deadline_seconds": 0, "not_before": "tomorrow"},
         {"priority", "deadline_seconds", "not_before"}),
        ({"inputs": {"film": "x"}, "deadline_seconds": "60"}, {"deadline_seconds"}),
        ({"inputs": {"film": "x"}, "deadline_seconds": True}, {"deadline_seconds"}),
        ({"inputs": {"film": "x"}, "deadline_seconds": 604_801}, {"deadline_seconds"}),
        ({"inputs": {"film": "x"}, "not_before": "2026-01-01T00:00:00"}, {"not_before"}),
        ({"inputs": {"film": "x"}, "not_before": "9999-12-31T23:59:59Z"}, {"not_before"}),
        ({"inputs": {"film": "x"}, "not_before": "0001-01-01T00:00:00+14:00"}, {"not_before"}),
        ({"inputs": {"film": "x"}, "end_user": "x" * 201}, {"end_user"}),
        ({"inputs": {"film": "x"}, "organization_id": 1, "status": "succeeded", "id": 7, "usage": {}},
         {"organization_id", "status", "id", "usage"}),
        ({"inputs": {"film": "x"}, "tags": {str(n): "x" for n in range(101)}}, {"tags"}),
    ],
)  # fmt: skip
def test_every_fault_of_an_execution_is_named(send, body, fields):
    answer = send("execution", json.dumps(body))

    assert answer.status_code == 422
    assert {each["field"] for each in answer.json["errors"]} == fields


@pytest.mark.parametrize(("version", "noun"), [("9", "version"), ("nightly", "version"), (NOBODY, "version")])
def test_an_unknown_version_is_404(client, publish, rows, version, noun):
    publish(REVIEW)
    before = rows()

    answer = client.post(f"/v2/pipelines/pipeline/versions/{version}/executions", json={"inputs": {"film": "x"}})

    assert (answer.status_code, answer.json["detail"]) == (404, f"{noun} not found")
    assert rows() == before


@pytest.mark.parametrize("name", ["unknown", NOBODY, "999999999", "9" * 30, "%00", "%ff", "a%00b", "x" * 300])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/pipelines/{}"),
        ("GET", "/v2/pipelines/{}/versions/1"),
        ("GET", "/v2/pipelines/pipeline/versions/{}"),
        ("DELETE", "/v2/pipelines/{}/tags/live"),
        ("DELETE", "/v2/pipelines/pipeline/tags/{}"),
        ("POST", "/v2/pipelines/{}/versions/latest/executions"),
        ("POST", "/v2/pipelines/pipeline/versions/{}/executions"),
        ("GET", "/v2/executions/{}"),
        ("POST", "/v2/executions/{}/cancel"),
    ],
)
def test_names_that_name_nothing_are_404(client, publish, name, method, path):
    publish(REVIEW)

    answer = client.open(path.format(name), method=method, json={"inputs": {"film": "x"}})

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize("handle", ["A", "1a", "-a", "a_b", "a.b", "ä", "x" * 64, "a b"])
def test_a_name_that_is_no_handle_cannot_be_published(client, rows, handle):
    before = rows()

    answer = client.put(f"/v2/pipelines/{handle}", json=REVIEW)

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, ["handle"])
    assert rows() == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=%C3%A9", "cursor=%00", "cursor=",
        # A cursor of the other list, one with a NUL in it, one that is no number, one that no column holds.
        "cursor=cGlwZWxpbmVzOmE", "cursor=cGlwZWxpbmVzOgA", "cursor=ZXhlY3V0aW9uczphYmM",
        "cursor=ZXhlY3V0aW9uczo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "unknown=1", "status=done", "tag=x", "metadata=x",
        "version=1", "accepted_after=yesterday", "accepted_before=2026-01-01", "end_user=%00", "pipeline=%00",
    ],
)  # fmt: skip
def test_a_wrong_query_is_422_and_names_its_parameter(client, query):
    answer = client.get(f"/v2/executions?{query}")

    assert answer.status_code == 422
    assert {each["field"].partition("[")[0] for each in answer.json["errors"]} == {query.partition("=")[0]}


@pytest.mark.parametrize("cursor", ["x", "%C3%A9", "cGlwZWxpbmVzOgA", "ZXhlY3V0aW9uczox"])
def test_a_wrong_cursor_of_pipelines_is_422(client, cursor):
    answer = client.get(f"/v2/pipelines?cursor={cursor}")

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, ["cursor"])
