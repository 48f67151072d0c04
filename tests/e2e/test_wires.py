"""Both wires from outside: publish, execute, read; and what only a real HTTP server shows."""

import http.client
import json
from signal import SIGTERM
from urllib.parse import urlsplit

import httpx2
import pytest

from deploy.local import children, ports
from tests.e2e.conftest import ROOT, answers
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def raw(api_url, http):
    """Send a request as it stands, its target untouched by any client; returns status, headers and body."""

    def raw(method, target, body=None, **headers):
        connection = http_client(api_url)
        headers = {"Authorization": http.headers["Authorization"], **headers}
        connection.request(method, target, body, headers, encode_chunked="Transfer-Encoding" in headers)
        with connection.getresponse() as answer:
            found = (answer.status, dict(answer.getheaders()), answer.read().decode())
        connection.close()
        return found

    return raw


def http_client(url):
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)


def test_an_example_is_published_in_yaml_and_executed_to_its_end(start, http):
    start("worker")
    yaml = (ROOT / "deploy/examples/film-reviews.yaml").read_text()

    published = http.put("/v2/pipelines/film-reviews", content=yaml, headers={"Content-Type": "application/yaml"})
    answer = http.post(
        "/v2/pipelines/film-reviews/versions/latest/executions",
        json={"inputs": {"film": "Avatar", "count": 2}},
        headers={"Prefer": "wait=30"},
    )

    assert published.status_code == 201
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert all(set(each) == {"author_name", "author_country", "review"} for each in answer.json()["output"])


def test_discuros_wire_is_followed_to_the_end(start, http):
    start("worker")
    uuid = http.put("/v2/pipelines/pipeline", json=chain("demo")).json()["uuid"]
    body = {"prompt_template_uuid": uuid, "inputs": [{"name": "film", "value": "Avatar"}]}

    execution_id = http.post("/v1/prompt-templates/execute", json=body).json()["id"]

    def ended():
        found = http.post("/v1/executions/retrieve", params={"id": execution_id}).json()
        return found["status"] == "ended" and found

    assert until(ended)["passed"] is True


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/v1/executions/retrieve", "//v1/executions/retrieve"])
def test_retrieve_is_reached_with_one_slash_and_with_two(raw, execute, method, path):
    execution = execute(chain("demo"))

    status, _, text = raw(method, f"{path}?id={execution['id']}")

    assert (status, text) == (200, f'{{"id": {execution["id"]}, "status": "started"}}')


def test_a_body_in_chunks_is_read(raw, execute):
    execution = execute(chain("demo"))
    body = json.dumps({"id": execution["id"]}).encode()

    chunks = [body[:4], body[4:]]
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    status, _, text = raw("POST", "/v1/executions/retrieve", iter(chunks), **headers)

    assert (status, json.loads(text)["id"]) == (200, execution["id"])


@pytest.mark.parametrize(("bytes_beyond", "status"), [(0, 400), (1, 413), (1_000_000, 413)])
def test_a_body_in_chunks_is_bounded_too(raw, bytes_beyond, status):
    chunks = [b"{}", b" " * (2**20 - 2), b" " * bytes_beyond] if bytes_beyond else [b"{}", b" " * (2**20 - 2)]
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}

    answer = raw("POST", "/v1/orchestrators/execute", iter(chunks), **headers)

    # Up to the limit it is read, and says nothing of what to start.
    assert (answer[0], "larger than 1048576 bytes" in answer[2]) == (status, status == 413)


@pytest.mark.parametrize(("path", "wire"), [("/v1/none", "application/json"), ("/none", "application/problem+json")])
def test_unknown_paths_have_the_shape_of_their_wire(raw, path, wire):
    status, headers, _ = raw("GET", path)

    assert (status, headers["Content-Type"]) == (404, wire)


def test_the_location_of_an_execution_can_be_followed(http):
    http.put("/v2/pipelines/pipeline", json=chain("demo"))

    accepted = http.post("/v2/pipelines/pipeline/versions/latest/executions", json={})

    assert accepted.status_code == 202
    assert http.get(accepted.headers["Location"]).json()["uuid"] == accepted.json()["uuid"]


def test_the_bootstrap_key_is_good_from_the_start(database, launch):
    key, port = "a-key-that-an-operator-chose", ports.free()
    child = launch("web", PORT=port, STRATA_BOOTSTRAP_KEY=key)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        url = f"http://127.0.0.1:{port}/v2/queues"
        assert httpx2.get(url, headers={"x-api-key": key}, trust_env=False).status_code == 200
    finally:
        children.stop(child, (SIGTERM, 10.0))
