"""Every error on a path of Discuro's is `error` and `meta_data`, and on every other path a problem of our own."""

import pytest

from shared import db
from tests.api.definitions import REVIEW

START = "/v1/prompt-templates/execute"
UNAUTHORIZED = '{"error": "Error: missing or invalid API key", "meta_data": null}'


def is_envelope(answer, status):
    return (
        answer.status_code == status
        and answer.content_type == "application/json"
        and list(answer.json) == ["error", "meta_data"]
        and answer.json["error"].startswith(("Error: ", "Operation failed - "))
        and answer.json["meta_data"] is None
    )


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/x", "/v1/executions", "/v1/generator", "/v1/flowsheet", "/v1/%00", "/v1/x/../y"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_unknown_paths_are_discuros(client, path, method):
    assert is_envelope(client.open(path, method=method), 404)


@pytest.mark.parametrize(
    "path", ["/v1/generate", "/v1/flows/x", "/v1/logs", "/v1/content/3", "/v2/x", "/x", "/v10/x", "/api/v1/x"]
)
def test_paths_of_others_are_not_discuros(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", START, {"POST", "OPTIONS"}),
        ("DELETE", "/v1/orchestrators/execute", {"POST", "OPTIONS"}),
        ("PUT", "/v1/executions/retrieve", {"GET", "POST", "HEAD", "OPTIONS"}),
    ],
)
def test_another_method_is_405_and_names_those_that_are_allowed(client, method, path, allowed):
    answer = client.open(path, method=method)

    assert is_envelope(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", [START, "/v1/orchestrators/execute", "/v1/executions/retrieve"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"x-api-key": "nonsense"}])
def test_without_a_good_key_everything_is_401(anonymous, path, headers):
    answer = anonymous.post(path, headers=headers, data="{broken")

    assert (answer.status_code, answer.text) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "x-api-key", "X-API-KEY"])
def test_a_key_comes_in_either_header(anonymous, publish, make_key, organization, name):
    uuid = str(publish(REVIEW).pipeline_uuid)
    key = make_key(organization, "execute")

    headers = {name: f"Bearer {key}" if name.lower() == "authorization" else key}
    body = {"prompt_template_uuid": uuid, "inputs": [{"name": "film", "value": "Avatar"}]}

    assert anonymous.post(START, json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(("path", "scope"), [(START, "read"), ("/v1/executions/retrieve?id=1", "execute")])
def test_a_key_without_the_scope_is_403(anonymous, make_key, organization, path, scope):
    answer = anonymous.post(path, json={}, headers={"x-api-key": make_key(organization, scope)})

    assert is_envelope(answer, 403)


def test_a_body_over_the_limit_is_413(client):
    assert is_envelope(client.post(START, data=b" " * 2_000_000, content_type="application/json"), 413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data", "", None])
def test_another_content_type_is_400_here(client, content_type):
    answer = client.post(START, data="{}", content_type=content_type)

    assert is_envelope(answer, 400)
    assert answer.json["error"] == "Error: Content-Type must be application/json"


@pytest.fixture
def no_database(client, settings):
    """Postgres away, from here to the end of the test."""
    db.connect("postgresql://nobody@127.0.0.1:1/nothing")
    yield
    db.connect(settings.database_url)


@pytest.mark.parametrize("path", [START, "/v1/executions/retrieve?id=1"])
def test_without_postgres_it_is_503_with_a_time_to_come_again(client, no_database, path):
    answer = client.post(path, json={})

    assert is_envelope(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


def test_without_postgres_a_native_answer_is_a_problem(client, no_database):
    answer = client.get("/v2/executions")

    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0


def test_without_postgres_the_process_is_alive_and_not_ready(client, no_database):
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/metrics").status_code == 200
