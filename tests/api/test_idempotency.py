"""`Idempotency-Key`: however often a request is sent, it starts one execution."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import db, organizations
from shared.statements import Statement
from tests import factories
from tests.api.definitions import REVIEW

START = "/v2/pipelines/pipeline/versions/latest/executions"
KEY = {"Idempotency-Key": "order-1"}
BODY = {"inputs": {"film": "Avatar"}}


@pytest.fixture
def start(client, publish):
    publish(REVIEW)

    def start(body=BODY, /, path=START, **headers):
        return client.post(path, json=body, headers={**KEY, **headers})

    return start


def count():
    return factories.query("SELECT count(*) AS n FROM executions")[0].n


def test_a_repeated_start_is_answered_from_the_first_and_says_so(start):
    first, second = start(), start()

    assert (first.status_code, second.status_code, count()) == (202, 202, 1)
    assert first.json == second.json
    assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")


def test_a_repeated_start_waits_for_the_end_where_that_is_asked(start, worker):
    first = start()
    worker.work()

    answer = start(Prefer="wait=10")

    assert (answer.status_code, answer.json["status"], answer.json["id"]) == (200, "succeeded", first.json["id"])


def test_order_and_space_in_the_body_make_no_other_request(client, start):
    first = start({"inputs": {"film": "Avatar"}, "tags": {"a": "b"}})

    text = '{ "tags": {"a": "b"},\n "inputs": {"film": "Avatar"} }'
    second = client.post(START, data=text, headers=KEY, content_type="application/json")

    assert second.json["id"] == first.json["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"body": {"inputs": {"film": "Alien"}}},
        {"body": {"inputs": {"film": "Avatar"}, "priority": "low"}},
        {"path": "/v2/pipelines/pipeline/versions/1/executions"},
    ],
)
def test_the_same_key_with_another_request_is_refused(start, change):
    start()

    answer = start(change.get("body", BODY), path=change.get("path", START))

    assert (answer.status_code, answer.content_type, count()) == (422, "application/problem+json", 1)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "é", "a\tb", 'a"b"c'])
def test_what_cannot_be_a_key_is_refused(client, publish, key):
    publish(REVIEW)

    answer = client.post(START, json=BODY, headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json["errors"][0]["field"], count()) == (400, "Idempotency-Key", 0)


def test_a_key_in_quotation_marks_is_the_same_key(client, start):
    first = start()

    second = client.post(START, json=BODY, headers={"Idempotency-Key": '"order-1"'})

    assert second.json["id"] == first.json["id"]


def test_a_refused_request_does_not_use_its_key_up(start):
    assert start({"inputs": {}}).status_code == 422

    assert start().status_code == 202


def test_fifty_at_once_start_one_execution(app, start, client):
    authorization = client.environ_base["HTTP_AUTHORIZATION"]

    def post(_):
        return app.test_client().post(START, json=BODY, headers={**KEY, "Authorization": authorization})

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))

    assert {each.status_code for each in answers} == {202}
    assert len({each.json["id"] for each in answers}) == count() == 1
    assert sum("Idempotent-Replayed" not in each.headers for each in answers) == 1


def test_a_first_request_that_does_not_commit_is_a_conflict_after_two_seconds(start, organization):
    """Another process has inserted the key, and hangs before its commit."""
    insert = Statement(
        "INSERT INTO idempotency (organization_id, key, fingerprint, execution_uuid) VALUES (:o, :k, :f, :u)"
    )
    found = factories.accept(organization, inputs=(("film", "Avatar"),))
    with db.transaction() as connection:
        insert(connection, {"o": organization, "k": "order-1", "f": b"another", "u": found.uuid})
        answers = []
        thread = threading.Thread(target=lambda: answers.append(start()))
        thread.start()
        thread.join(10)

    assert (answers[0].status_code, answers[0].json["title"]) == (409, "Conflict")


def test_keys_are_another_organization_s_own(app, start, publish, make_key):
    start()
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
    headers = {**KEY, "Authorization": f"Bearer {make_key(other)}"}

    answer = app.test_client().post(START, json=BODY, headers=headers)

    assert answer.status_code == 404


def test_another_key_of_the_organization_is_answered_too(app, start, organization, make_key):
    first = start()
    headers = {**KEY, "Authorization": f"Bearer {make_key(organization, 'execute', 'read')}"}

    assert app.test_client().post(START, json=BODY, headers=headers).json["id"] == first.json["id"]


def test_after_the_expiry_the_tombstone_is_told_and_nothing_starts(start, worker):
    first = start()
    worker.work()
    factories.change("UPDATE executions SET expires_at = now() - interval '1 second'")

    answer = start()

    assert (answer.status_code, answer.json["execution"]["id"], count()) == (410, first.json["id"], 1)
    assert answer.headers["Idempotent-Replayed"] == "true"


def test_a_key_goes_with_its_tombstone(start):
    start()
    factories.change("DELETE FROM executions")

    assert (start().status_code, count()) == (202, 1)


def test_a_version_published_since_changes_nothing_for_a_repeated_start(start, publish):
    first = start()
    publish({**REVIEW, "inputs": [*REVIEW["inputs"], {"name": "year", "required": True}]})

    assert start().json["id"] == first.json["id"]


def test_discuro_s_start_is_repeated_on_its_own_wire(client, publish):
    version = publish(REVIEW)
    body = {"orchestrator_uuid": str(version.pipeline_uuid), "inputs": [{"name": "film", "value": "Avatar"}]}

    answers = [client.post("/v1/orchestrators/execute", json=body, headers=KEY) for _ in range(2)]
    other = client.post("/v1/orchestrators/execute", json={**body, "inputs": []}, headers=KEY)
    bad = client.post("/v1/orchestrators/execute", json=body, headers={"Idempotency-Key": "é"})

    assert (answers[0].json, count()) == (answers[1].json, 1)
    assert (other.status_code, set(other.json), bad.status_code, set(bad.json)) == (
        422,
        {"error", "meta_data"},
        400,
        {"error", "meta_data"},
    )


def test_the_same_start_without_a_key_starts_anew(client, publish):
    publish(REVIEW)

    ids = {client.post(START, json=BODY).json["id"] for _ in range(3)}

    assert len(ids) == 3
