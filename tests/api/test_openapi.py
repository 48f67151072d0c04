"""The OpenAPI document: valid, complete, and the same words that requests are checked by."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import openapi, openapi_schemas
from api.app import create_app
from shared import kinds, strict_yaml
from shared.settings import Settings
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def app() -> Flask:
    """An application that never meets its database: the document needs none."""
    return create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1"))


@pytest.fixture(scope="module")
def document(app):
    return openapi.document(app)


def operations(document):
    return [(method, path, found) for path, methods in document["paths"].items() for method, found in methods.items()]


def bodies(document):
    return [
        (found["operationId"], content)
        for _, _, found in operations(document)
        for content in found.get("requestBody", {}).get("content", {}).values()
    ]


def fits(document, name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft202012Validator(schema).is_valid(value)


def test_document_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()


def test_document_has_every_route_and_method(app, document):
    expected = {
        (method.lower(), openapi.path(rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    assert {(method, path) for method, path, _ in operations(document)} == expected


def test_operations_have_names_of_their_own(document):
    names = [found["operationId"] for _, _, found in operations(document)]

    assert len(set(names)) == len(names)


def test_operations_say_what_they_do(document):
    assert all(found["summary"] for _, _, found in operations(document))


def test_every_schema_of_a_contract_is_there(app, document):
    used = {name for _, _, stated in openapi.operations(app) for name in openapi.schema_names(stated)}

    assert used <= set(document["components"]["schemas"])


def test_schemas_say_what_they_are(document):
    assert all(schema["description"] for schema in document["components"]["schemas"].values())


def test_bodies_are_closed(document):
    names = {content["schema"]["$ref"].rpartition("/")[2] for _, content in bodies(document)}

    assert names
    assert all(document["components"]["schemas"][name]["additionalProperties"] is False for name in names)


def test_answers_may_get_more_fields(document):
    assert "additionalProperties" not in document["components"]["schemas"]["Execution"]


def test_examples_are_accepted_by_their_contract(app):
    found = [(stated.example, stated.body) for _, _, stated in openapi.operations(app) if stated.body is not None]

    assert all(example is not None and not body.validate(example) for example, body in found)


def test_examples_fit_the_documented_schema(document):
    for _, content in bodies(document):
        assert fits(document, content["schema"]["$ref"].rpartition("/")[2], content["example"])


@pytest.mark.parametrize("path", sorted((ROOT / "deploy/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_published_examples_fit_the_documented_definition(document, path):
    assert fits(document, "Definition", strict_yaml.loads(path.read_text()))


@pytest.mark.parametrize("kind", sorted(kinds.kinds()))
def test_layers_are_told_by_their_kind(document, kind):
    layers = document["components"]["schemas"]["DefinitionProperty"]["properties"]["layers"]["items"]
    name = openapi_schemas.name(kinds.kinds()[kind].Settings)

    assert {"$ref": layers["discriminator"]["mapping"][kind]} in layers["oneOf"]
    assert document["components"]["schemas"][name]["properties"]["kind"]["const"] == kind


@pytest.mark.parametrize(
    ("layer", "accepted"),
    [
        ({"kind": "prompt", "prompt": "hi", "output": "json"}, True),
        ({"kind": "prompt", "prompt": "hi", "output": {"type": "json_schema", "schema": {}}}, True),
        ({"kind": "prompt", "prompt": "hi", "output": "xml"}, False),
        ({"kind": "prompt", "prompt": "hi", "expression": "@"}, False),
        ({"kind": "extract"}, False),
        ({"kind": "magic"}, False),
    ],
)
def test_documented_layers_are_as_strict_as_ours(document, layer, accepted):
    assert fits(document, "Definition", {"properties": [{"name": "p", "layers": [layer]}]}) is accepted


def test_texts_with_references_say_so(document):
    prompt = document["components"]["schemas"]["PromptLayer"]["properties"]["prompt"]

    assert "`{{references}}`" in prompt["description"]


def test_scopes_are_those_that_a_view_asks_for(app, document):
    for rule, method, stated in openapi.operations(app):
        security = document["paths"][openapi.path(rule)][method.lower()]["security"]
        assert [scopes for each in security for scopes in each.values()] == (
            [[stated.scope]] * 2 if stated.scope else []
        )


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/v2/pipelines/{handle}", "put", ["200", "201", "400", "401", "403", "404", "413", "415", "422", "503"]),
        ("/v2/executions/{execution}", "get", ["200", "304", "401", "403", "404", "410", "503"]),
        ("/v1/executions/retrieve", "post", ["200", "400", "401", "403", "413", "503"]),
        ("/healthz", "get", ["200"]),
    ],
)
def test_errors_stand_where_they_apply(document, path, method, statuses):
    assert list(document["paths"][path][method]["responses"]) == statuses


def test_errors_have_the_shape_of_their_wire(document):
    ours = document["paths"]["/v2/executions"]["get"]["responses"]["401"]["content"]
    theirs = document["paths"]["/v1/orchestrators/execute"]["post"]["responses"]["401"]["content"]

    assert ours == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert theirs == {"application/json": {"schema": {"$ref": "#/components/schemas/DiscuroFailed"}}}


def test_sizes_of_objects_are_told_as_such(document):
    tags = document["components"]["schemas"]["Order"]["properties"]["tags"]

    assert tags["maxProperties"] == 100
    assert "maxLength" not in tags


def test_document_is_built_once_per_application(app, document):
    assert openapi.document(app) is document


def test_document_is_served_to_everybody(app: Flask, document):
    response = app.test_client().get("/openapi.json")

    assert response.content_type == "application/json"
    assert response.json == document


def test_document_is_not_sent_again_when_unchanged(app: Flask):
    client: FlaskClient = app.test_client()
    etag = client.get("/openapi.json").headers["ETag"]

    assert client.get("/openapi.json", headers={"If-None-Match": etag}).status_code == 304


def test_publication_names_the_yaml_that_it_reads(document):
    content = document["paths"]["/v2/pipelines/{handle}"]["put"]["requestBody"]["content"]

    assert list(content) == ["application/json", "application/yaml", "application/x-yaml", "text/yaml"]
