"""Discuro's two start endpoints: what they answer, byte for byte, and how they name what is wrong."""

import json

import pytest

from tests.api.definitions import REVIEW, asks, pipeline
from tests.factories import NOBODY

PATHS = {"prompt_template": "/v1/prompt-templates/execute", "orchestrator": "/v1/orchestrators/execute"}
NOUNS = tuple(PATHS)
TOPICS = pipeline(
    asks("{{number_of_topics}} topics of {{industry}}, {{tone}}"),
    inputs=[
        {"name": "industry", "required": True},
        {"name": "number_of_topics", "type": "integer", "required": True},
        {"name": "tone"},
    ],
)
TYPED = pipeline(
    asks("{{text}} {{whole}} {{number}} {{yes}} {{list}} {{object}}"),
    inputs=[
        {"name": "text"},
        {"name": "whole", "type": "integer"},
        {"name": "number", "type": "number"},
        {"name": "yes", "type": "boolean"},
        {"name": "list", "type": "array"},
        {"name": "object", "type": "object"},
    ],
)


@pytest.fixture
def start(client):
    def start(version, noun="prompt_template", /, **body):
        return client.post(PATHS[noun], json={f"{noun}_uuid": str(version.pipeline_uuid), **body})

    return start


def pairs(**values):
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize("noun", NOUNS)
def test_a_start_answers_the_id_alone(start, publish, noun):
    version = publish(REVIEW)

    answer = start(version, noun, inputs=pairs(film="Avatar"), tags=[{"key": "client", "value": "acme"}])

    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.text == f'{{"id": {answer.json["id"]}}}'
    assert isinstance(answer.json["id"], int)


def test_a_start_keeps_inputs_and_tags(start, client, publish):
    version = publish(REVIEW)

    found = start(version, inputs=pairs(film="Avatar"), tags=[{"key": "client", "value": "acme"}]).json

    kept = client.get(f"/v2/executions/{found['id']}").json
    assert (kept["inputs"], kept["tags"]) == ({"film": "Avatar"}, {"client": "acme"})


@pytest.mark.parametrize("noun", NOUNS)
def test_missing_inputs_are_listed_with_the_trailing_comma(start, publish, noun):
    version = publish(TOPICS)

    answer = start(version, noun)

    assert answer.status_code == 400
    assert answer.text == ('{"error": "Error: missing input values (industry, number_of_topics, )", "meta_data": null}')


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (pairs(industry="film", number_of_topics="3", a="1", b="2"), "unknown input values (a, b, )"),
        (pairs(industry="film", number_of_topics="3") + pairs(industry="art"), "duplicate input values (industry, )"),
        (pairs(industry=["film"], number_of_topics="3"), "invalid input values (industry, )"),
        (pairs(industry={"a": 1}, number_of_topics="3"), "invalid input values (industry, )"),
        (pairs(industry="film", number_of_topics="three"), "invalid input values (number_of_topics, )"),
        (pairs(industry="film", number_of_topics=2.5), "invalid input values (number_of_topics, )"),
        (pairs(industry="film", number_of_topics="3", tone=None), "invalid input values (tone, )"),
        (pairs(a="1", number_of_topics="x"),
         "missing input values (industry, ); unknown input values (a, ); invalid input values (number_of_topics, )"),
        (pairs(**{"industry": "film", "number_of_topics": "3", "a[0]": "1", "": "2"}),
         "unknown input values (a[0], , )"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_listed_by_what_is_wrong(start, publish, inputs, message):
    version = publish(TOPICS)

    answer = start(version, inputs=inputs)

    assert (answer.status_code, answer.json) == (400, {"error": f"Error: {message}", "meta_data": None})


def test_typed_inputs_are_read_from_strings(start, client, publish):
    version = publish(TYPED)

    found = start(
        version,
        inputs=pairs(text=7, whole="3", number="2.5", yes="true", list='["a", 1]', object='{"a": null}'),
    ).json

    assert client.get(f"/v2/executions/{found['id']}").json["inputs"] == {
        "text": "7",
        "whole": 3,
        "number": 2.5,
        "yes": True,
        "list": ["a", 1],
        "object": {"a": None},
    }


@pytest.mark.parametrize(("given", "kept"), [(True, "true"), (7, "7"), (2.5, "2.5"), ("", ""), (" x ", " x ")])
def test_scalars_become_text_for_a_string_input(start, client, publish, given, kept):
    version = publish(REVIEW)

    found = start(version, inputs=pairs(film=given)).json

    assert client.get(f"/v2/executions/{found['id']}").json["inputs"] == {"film": kept}


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize(
    "uuid",
    [
        NOBODY,
        "",
        "none",
        "0" * 36,
        "\0",
        "{" + NOBODY + "}",
    ],
)
def test_an_unknown_uuid_is_not_found_by_its_noun(client, noun, uuid):
    answer = client.post(PATHS[noun], json={f"{noun}_uuid": uuid})

    assert answer.status_code == 400
    assert answer.text == f'{{"error": "Operation failed - {noun} not found", "meta_data": null}}'


@pytest.mark.parametrize("noun", NOUNS)
def test_the_name_of_the_pipeline_is_no_uuid(client, publish, noun):
    version = publish(REVIEW)

    for name in (version.handle, str(version.pipeline_id), str(version.uuid)):
        answer = client.post(PATHS[noun], json={f"{noun}_uuid": name, "inputs": pairs(film="Avatar")})
        assert answer.json["error"] == f"Operation failed - {noun} not found"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["prompt_template_uuid"]),
        ({"prompt_template_uuid": 5, "inputs": {}, "tags": "x", "more": 1},
         ["prompt_template_uuid", "inputs", "tags", "more"]),
        ({"inputs": [5, {"name": 1, "value": "x"}, {"value": "x"}, {"name": "film"}]},
         ["prompt_template_uuid", "inputs[0]", "inputs[1].name", "inputs[2].name", "inputs[3].value"]),
        ({"tags": [5, {"key": "a"}, {"value": "b"}, {"key": "a", "value": 1}, {"key": "a", "value": "b", "c": 1}]},
         ["prompt_template_uuid", "tags[0]", "tags[1].value", "tags[2].key", "tags[3].value", "tags[4].c"]),
    ],
)  # fmt: skip
def test_every_wrong_field_is_named(client, rows, body, fields):
    before = rows()

    answer = client.post(PATHS["prompt_template"], json=body)

    assert (answer.status_code, list(answer.json)) == (400, ["error", "meta_data"])
    named = {part.split()[0] for part in answer.json["error"].removeprefix("Error: ").split("; ")}
    assert named >= set(fields)
    assert rows() == before


def test_faults_of_the_body_and_of_the_inputs_come_together(start, publish):
    version = publish(TOPICS)

    answer = start(version, inputs=pairs(number_of_topics="x"), tags=[{"key": "a"}], more=1)

    assert answer.json["error"] == (
        "Error: missing input values (industry, ); invalid input values (number_of_topics, ); "
        "tags[0].value is required; more is not a field here"
    )


def test_a_tag_given_twice_is_refused(start, publish, rows):
    version = publish(REVIEW)
    before = rows()

    answer = start(version, inputs=pairs(film="Avatar"), tags=[{"key": "a", "value": v} for v in "12"])

    assert (answer.status_code, answer.json["error"]) == (400, "Error: tags a is given twice")
    assert rows() == before


@pytest.mark.parametrize("name", ["\ud800", "a\0", "\udfff\ud800"])
def test_a_name_that_cannot_be_stored_is_refused(client, publish, rows, name):
    version = publish(REVIEW)
    before = rows()
    body = {"prompt_template_uuid": str(version.pipeline_uuid), "inputs": pairs(film="x") + pairs(**{name: "x"})}

    for given in (body, {**body, name: 1}, {**body, "tags": [{"key": name, "value": name}]}):
        answer = client.post(PATHS["prompt_template"], data=json.dumps(given), content_type="application/json")
        assert (answer.status_code, list(answer.json)) == (400, ["error", "meta_data"])

    assert rows() == before
