"""`/v2/pipelines`: versions are published once, tags move, drafts stay behind."""

import json

import pytest

from tests.api.definitions import REVIEW, asks, pipeline

OTHER = pipeline(asks("Other."))
YAML = """
name: Reviews
inputs:
  - {name: film, required: true}
properties:
  - name: review
    layers:
      - {kind: prompt, prompt: "Review {{film}}."}
"""


@pytest.fixture
def put(client):
    """Publish: `put(definition, draft="true")`."""
    return lambda source, handle="films", **query: client.put(
        f"/v2/pipelines/{handle}", json=source, query_string=query
    )


def test_a_definition_is_published_once(put):
    first, again = put(REVIEW), put(REVIEW)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert {key: first.json[key] for key in ("handle", "version", "draft", "tags", "warnings")} == {
        "handle": "films",
        "version": 1,
        "draft": False,
        "tags": [],
        "warnings": [],
    }


def test_the_order_of_keys_makes_no_other_version(put):
    put(REVIEW)

    assert put(dict(reversed(REVIEW.items()))).status_code == 200


def test_json_and_yaml_are_the_same_definition(client, put):
    yaml = client.put("/v2/pipelines/films", data=YAML, content_type="application/yaml")

    assert yaml.status_code == 201
    assert put({"name": "Reviews", **REVIEW}).json == yaml.json


def test_another_definition_is_the_next_version_and_the_latest(client, put):
    put(REVIEW)

    assert put(OTHER).json["version"] == 2
    assert client.get("/v2/pipelines/films/versions/latest").json["version"] == 2


def test_an_old_definition_published_again_is_the_latest_again(client, put):
    put(REVIEW)
    put(OTHER)

    assert put(REVIEW).json["version"] == 1
    assert client.get("/v2/pipelines/films/versions/latest").json["version"] == 1


def test_a_draft_is_never_the_latest(client, put):
    put(REVIEW)

    draft = put(OTHER, draft="true")

    assert (draft.status_code, draft.json["version"], draft.json["draft"]) == (201, 2, True)
    assert client.get("/v2/pipelines/films/versions/latest").json["version"] == 1
    assert client.get("/v2/pipelines/films/versions/2").json["published_at"] is None


def test_a_draft_can_be_executed_by_its_number_only(client, put):
    put(OTHER, draft="true")

    by_number = client.post("/v2/pipelines/films/versions/1/executions", json={})
    by_latest = client.post("/v2/pipelines/films/versions/latest/executions", json={})

    assert (by_number.status_code, by_latest.status_code) == (202, 404)


def test_a_draft_becomes_a_version_when_it_is_published(client, put):
    put(REVIEW, draft="true")

    assert (put(REVIEW).status_code, put(REVIEW).json["draft"]) == (200, False)


FAULTY = {
    "inputs": [{"name": "1a"}, {"name": "n", "type": "integer", "default": "x", "required": "yes"}, "film"],
    "properties": [
        {
            "name": "a",
            "layers": [
                {"kind": "prompt", "prompt": "{{nobody}} {{previous}}", "temperature": 3, "wrong": 1},
                {"kind": "nothing"},
                {"kind": "extract", "expression": "a["},
                7,
            ],
        },
        {"name": "a", "layers": []},
        {"layers": [{"kind": "text"}]},
    ],
    "output": "b",
    "deadline_seconds": 0,
    "colour": "red",
}
FAULTS = {
    *("inputs[0].name", "inputs[1].required", "inputs[1].default", "inputs[2]"),
    *("properties[0].name", "properties[0].layers[0].prompt", "properties[0].layers[0].temperature"),
    *("properties[0].layers[0].wrong", "properties[0].layers[1].kind", "properties[0].layers[2].expression"),
    *("properties[0].layers[3]", "properties[1].name", "properties[1].layers"),
    *("properties[2].name", "properties[2].layers[0].value", "output", "deadline_seconds", "colour"),
}


def test_every_fault_is_named_with_its_place(put, rows):
    before = rows()

    answer = put(FAULTY)

    assert answer.status_code == 422
    assert {each["field"] for each in answer.json["errors"]} == FAULTS
    assert rows() == before


@pytest.mark.parametrize(
    ("source", "field"),
    [
        (pipeline(asks("{{b}}", name="a"), asks("{{a}}", name="b")), "properties[0]"),
        ({**REVIEW, "inputs": [{"name": "film"}, {"name": "film"}]}, "inputs[0].name"),
        ({**REVIEW, "inputs": [{"name": "film", "type": "integer", "default": "x"}]}, "inputs[0].default"),
        ({**REVIEW, "handle": "another"}, "handle"),
        ({**REVIEW, "properties": []}, "properties"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_its_place(put, rows, source, field):
    before = rows()

    answer = put(source)

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert rows() == before


def test_a_stray_reference_is_warned_of(put):
    assert put(pipeline(asks("Hi {{ two words }}."))).json["warnings"] == [
        "properties[0].layers[0].prompt: {{ two words }} is no reference and stays as it is"
    ]


def test_a_tag_moves_and_goes(client, put):
    put(REVIEW)
    put(OTHER)
    tag = "/v2/pipelines/films/tags/production"

    assert client.put(tag, json={"version": 1}).json["tags"] == ["production"]
    assert client.get("/v2/pipelines/films/versions/production").json["version"] == 1
    assert client.put(tag, json={"version": "latest"}).json["version"] == 2
    assert client.get("/v2/pipelines/films/versions/production").json["version"] == 2
    assert client.delete(tag).status_code == 204
    assert client.get("/v2/pipelines/films/versions/production").status_code == 404
    assert client.delete(tag).status_code == 404


@pytest.mark.parametrize("name", ["latest", "__latest__", "executions", "12", "1a", "a b", "ä", "x" * 64])
def test_what_means_something_else_cannot_be_a_tag(client, put, rows, name):
    put(REVIEW)
    before = rows()

    answer = client.put(f"/v2/pipelines/films/tags/{name}", json={"version": 1})

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "tag")
    assert rows() == before


@pytest.mark.parametrize("spec", ["1", "latest", "__latest__", "live"])
def test_a_version_is_found_by_all_its_names(client, put, spec):
    uuid = put(REVIEW).json["version_uuid"]
    client.put("/v2/pipelines/films/tags/live", json={"version": uuid})

    assert client.get(f"/v2/pipelines/films/versions/{spec}").json["version_uuid"] == uuid


def test_a_pipeline_is_found_by_all_its_names(client, put):
    published = put(REVIEW).json

    for name in ("films", published["uuid"], published["id"]):
        assert client.get(f"/v2/pipelines/{name}").json["version_uuid"] == published["version_uuid"]


def test_a_pipeline_is_shown_with_its_latest_version_and_the_list_of_all(client, put):
    put(REVIEW)
    put(OTHER)
    put(pipeline(asks("A draft.")), draft="true")

    shown = client.get("/v2/pipelines/films").json

    assert (shown["version"], shown["definition"]) == (2, OTHER)
    assert [(each["version"], each["published_at"] is None) for each in shown["versions"]] == [
        (3, True), (2, False), (1, False)
    ]  # fmt: skip


def test_pages_of_pipelines_go_on_where_the_last_ended(client, put):
    handles = [f"p{number}" for number in range(7)]
    for handle in reversed(handles):
        put(REVIEW, handle)

    pages, cursor = [], {}
    while cursor is not None:
        page = client.get("/v2/pipelines", query_string={"limit": 3, **cursor}).json
        pages.append([each["handle"] for each in page["pipelines"]])
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None

    assert pages == [handles[:3], handles[3:6], handles[6:]]


def test_a_definition_is_kept_as_it_was_written(client):
    source = {"name": "Größe", "description": "\u2028 \\u0041", **REVIEW, "deadline_seconds": 60}

    # Flask's client would sort the keys.
    client.put("/v2/pipelines/films", data=json.dumps(source), content_type="application/json")
    shown = client.get("/v2/pipelines/films").json

    assert json.dumps(shown["definition"]) == json.dumps(source)
