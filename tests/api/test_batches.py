"""`/v2/batches`: many executions in one request, accepted together, followed and cancelled by one name."""

import io
import itertools
import json
import threading

import pytest

from api import lines as reading
from api.app import create_app
from shared import db, definition, executions, keys, organizations, pipelines
from tests import factories
from tests.api.definitions import REVIEW
from tests.factories import NOBODY

PATH = "/v2/batches?pipeline=pipeline"
CHUNKED = {"headers": {"Transfer-Encoding": "chunked"}, "environ_overrides": {"wsgi.input_terminated": True}}
GOOD = {"inputs": {"film": "Avatar"}}


def ndjson(*items):
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in items)


@pytest.fixture
def send(client, publish):
    """Send a batch of items, or of texts as they stand: `send(GOOD, "{", atomic="true", key="k")`."""
    publish(REVIEW)

    def send(*items, path=PATH, key=None, content_type="application/x-ndjson", **query):
        headers = {"Idempotency-Key": key} if key else {}
        body = ndjson(*items)
        return client.post(path, data=body, content_type=content_type, headers=headers, query_string=query or None)

    return send


def table():
    return factories.query("SELECT batch_line, status, blocked_by, queue, rank FROM executions ORDER BY id")


def test_every_line_is_an_execution(client, send):
    answer = send(GOOD, {**GOOD, "tags": {"client": "acme"}, "priority": "low"}, GOOD)

    assert (answer.status_code, answer.json["accepted"], answer.json["counts"]["queued"]) == (202, 3, 3)
    assert client.get(answer.headers["Location"]).json == answer.json
    assert [(row.batch_line, row.queue) for row in table()] == [(1, "normal"), (2, "low"), (3, "normal")]


def test_executions_of_a_batch_are_as_any_other(client, send):
    line = {**GOOD, "tags": {"a": "b"}, "metadata": {"row": [1, None]}, "end_user": "ada", "deadline_seconds": 60}
    send(line)
    single = client.post("/v2/pipelines/pipeline/versions/1/executions", json=line).json
    listed = client.get("/v2/executions").json["executions"]

    report = client.get(f"/v2/executions/{listed[1]['uuid']}").json

    told = ("status", "pipeline", "inputs", "tags", "metadata", "end_user", "priority", "properties")
    assert {name: report[name] for name in told} == {name: single[name] for name in told}


def test_bad_lines_are_listed_with_all_their_faults(send):
    answer = send(GOOD, {"inputs": {"movie": "Avatar"}, "priority": "never"}, "", "{", GOOD, "[1]", '{"a": 1, "a": 2}')

    assert (answer.status_code, answer.json["total"], answer.json["accepted"], answer.json["refused"]) == (202, 6, 2, 4)
    fields = {each["line"]: {error["field"] for error in each["errors"]} for each in answer.json["faults"]}
    assert fields == {
        2: {"inputs.film", "inputs.movie", "priority"},
        4: {"body"},
        6: {"body", "inputs.film"},
        7: {"body"},
    }


def test_atomic_refuses_all_where_one_is_bad(send, rows):
    before = rows()

    answer = send(GOOD, {}, path=f"{PATH}&atomic=true")

    assert answer.status_code == 422
    assert answer.json["errors"] == [{"field": "lines[2].inputs.film", "message": "is required"}]
    assert rows() == before


@pytest.mark.parametrize("body", ["", "\n \n", "{}", "nonsense", "[]"])
def test_a_batch_without_a_good_line_is_422(send, rows, body):
    before = rows()

    assert send(body).status_code == 422
    assert rows() == before


def test_lines_may_name_other_pipelines(client, publish, send):
    publish(REVIEW, "other")

    answer = send({**GOOD, "pipeline": "other", "version": 1}, {**GOOD, "pipeline": "none"}, {**GOOD, "version": "7"})

    assert [error["field"] for each in answer.json["faults"] for error in each["errors"]] == ["pipeline", "version"]
    assert client.get("/v2/executions?pipeline=other").json["executions"][0]["pipeline"]["version"] == 1


def test_a_pipeline_must_be_named_somewhere(send):
    errors = send(GOOD, path="/v2/batches").json["errors"]

    assert errors == [{"field": "lines[1].pipeline", "message": "is required, in the line or in the query"}]


def test_a_list_of_json_is_as_good(client, publish):
    publish(REVIEW)

    answer = client.post(PATH, json=[GOOD, {}])

    assert (answer.json["accepted"], [each["line"] for each in answer.json["faults"]]) == (1, [2])
    assert client.post(PATH, json={"items": []}).status_code == 422
    assert client.post(PATH, data="x", content_type="text/plain").status_code == 415


def test_another_organizations_pipelines_are_unknown(stranger, send):
    answer = stranger.post(PATH, data=ndjson(GOOD), content_type="application/x-ndjson")

    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "lines[1].pipeline")


def test_a_repeated_batch_is_the_first(client, send):
    first, again = send(GOOD, {}, key="k"), send(GOOD, {}, key="k")

    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(table()) == 1


def test_a_key_stands_for_one_body_and_query(client, send):
    send(GOOD, key="k")

    assert send(GOOD, GOOD, key="k").status_code == 422
    assert send(GOOD, key="k", path=f"{PATH}&version=1").status_code == 422
    single = "/v2/pipelines/pipeline/versions/1/executions"
    assert client.post(single, json=GOOD, headers={"Idempotency-Key": "k"}).status_code == 422


def test_the_same_batch_from_many_at_once_is_accepted_once(app, client, send):
    answers = []

    def post():
        other = app.test_client()
        other.environ_base = client.environ_base
        answers.append(other.post(PATH, json=[GOOD] * 50, headers={"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["uuid"] for answer in answers}) == 1
    assert len(table()) == 50


def test_a_refused_batch_has_not_used_its_key_up(send):
    send({}, key="k")

    assert send(GOOD, key="k").status_code == 202


def test_ranks_are_a_turn_apart_and_follow_the_lines(send, organization, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_ROWS", 3)
    factories.accept(organization, inputs=(("film", "Avatar"),))

    send(*[GOOD] * 10)

    ranks = [row.rank for row in table()]
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(ranks)] == [1.0] * 10


def test_another_organization_is_next_however_large_the_batch(send, organization, make_key):
    send(*[GOOD] * 200)
    with db.transaction() as connection:
        other = organizations.create(connection, "globex")
        pipelines.publish(connection, other, "pipeline", definition.read(REVIEW))

    theirs = factories.accept(other, inputs=(("film", "Alien"),))

    ahead = factories.query("SELECT count(*) FROM executions WHERE rank < (SELECT rank FROM executions WHERE id = :id)",
                            id=theirs.id)[0][0]  # fmt: skip
    assert ahead <= 1


def test_lines_beyond_the_cap_wait_for_it(send, organization, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_ROWS", 3)
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=4)

    send(*[GOOD] * 8, {**GOOD, "not_before": "2100-01-01T00:00:00Z"})

    assert [row.blocked_by for row in table()] == [None] * 4 + ["cap"] * 4 + ["schedule"]


def test_a_batch_counts_as_many_as_it_has(client, send):
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_queued=5)

    statuses = [send(*[GOOD] * 7).status_code, send(*[GOOD] * 4).status_code, send(*[GOOD] * 2).status_code]

    assert statuses == [422, 202, 429]
    assert send(GOOD).status_code == 202
    assert len(table()) == 5


def test_a_minute_s_starts_are_counted_by_line(send):
    with db.transaction() as connection:
        organizations.limit(connection, "acme", per_minute=6)

    first, second = send(*[GOOD] * 4), send(*[GOOD] * 4)

    assert (first.status_code, second.status_code, second.headers["Retry-After"]) == (202, 429, "20")


def test_a_key_s_limit_counts_lines(send, organization):
    with db.transaction() as connection:
        for each in keys.listed(connection, organization):
            keys.limit(connection, organization, each["prefix"], max_queued=3)

    assert [send(GOOD, GOOD).status_code for _ in range(2)] == [202, 429]


@pytest.fixture
def small(settings, database, organization, make_key, publish):
    """A client of an application that takes small batches only: 5 lines, 4,000 bytes, 1,024 a line."""
    publish(REVIEW)
    limits = {"max_batch_items": 5, "max_batch_bytes": 4000, "max_body_bytes": 1024}
    client = create_app(type(settings)(database_url=settings.database_url, redis_url=settings.redis_url, **limits))
    db.connect(settings.database_url)
    client = client.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_key(organization)}"
    return lambda body, **rest: client.post(PATH, data=body, content_type="application/x-ndjson", **rest)


def test_a_batch_has_its_bounds(small, rows):
    before = rows()
    long = json.dumps({"inputs": {"film": "x" * 1100}})

    assert small(ndjson(*[GOOD] * 6)).json["errors"] == [{"field": "body", "message": "has more than 5 lines"}]
    assert small("x" * 4001).status_code == 413
    assert small(io.BytesIO(b"x" * 4001), **CHUNKED).status_code == 413
    assert small(ndjson(long)).json["errors"][0]["message"] == "is larger than 1024 bytes"
    assert rows() == before


def test_a_long_line_costs_no_other(small):
    answer = small(ndjson(GOOD, json.dumps({"inputs": {"film": "x" * 3000}}), GOOD)).json

    assert (answer["accepted"], [each["line"] for each in answer["faults"]]) == (2, [2])


def test_what_came_of_a_batch_is_told(client, send, working, until):
    uuid = send(*[GOOD] * 3, {}).json["uuid"]

    with working():
        until(lambda: client.get(f"/v2/batches/{uuid}").json["ended"])

    found = client.get(f"/v2/batches/{uuid}").json
    assert (found["counts"]["succeeded"], found["progress"], found["refused"]) == (3, 1.0, 1)
    assert found["usage"]["total_tokens"] > 0
    assert found["accepted_at"] <= found["first_started_at"] <= found["last_ended_at"]


def test_executions_of_a_batch_are_listed_by_line(client, send):
    uuid = send(GOOD, {}, GOOD, GOOD).json["uuid"]

    first = client.get(f"/v2/batches/{uuid}/executions?limit=2").json
    second = client.get(f"/v2/batches/{uuid}/executions?limit=2&cursor={first['next_cursor']}").json

    assert [[each["line"] for each in page["executions"]] for page in (first, second)] == [[1, 3], [4]]
    assert second["next_cursor"] is None
    assert client.get(f"/v2/batches/{uuid}/executions?status=running").json["executions"] == []


def test_a_batch_is_cancelled(client, send):
    uuid = send(*[GOOD] * 3, {**GOOD, "not_before": "2100-01-01T00:00:00Z"}).json["uuid"]
    running = factories.claim()

    first, again = (client.post(f"/v2/batches/{uuid}/cancel") for _ in range(2))

    assert (first.status_code, first.json["cancelled_now"], first.json["stopping_now"]) == (202, 3, 1)
    assert (again.status_code, again.json["cancelled_now"], again.json["stopping_now"]) == (202, 0, 0)
    assert again.json["counts"] | {"cancelling": again.json["cancelling"]} == {
        "waiting": 0, "queued": 0, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 3, "cancelling": 1,
    }  # fmt: skip
    factories.release(running)
    last = client.post(f"/v2/batches/{uuid}/cancel")
    assert (last.status_code, last.json["ended"], last.json["counts"]["cancelled"]) == (200, True, 4)


def test_a_large_batch_is_cancelled_in_parts(client, send, monkeypatch):
    monkeypatch.setattr(executions, "BATCH", 4)
    uuid = send(*[GOOD] * 10).json["uuid"]

    answer = client.post(f"/v2/batches/{uuid}/cancel")

    assert (answer.status_code, answer.json["cancelled_now"], answer.json["ended"]) == (200, 10, True)


def test_what_has_ended_stands(client, send):
    uuid = send(GOOD, GOOD).json["uuid"]
    factories.finish(factories.claim())

    answer = client.post(f"/v2/batches/{uuid}/cancel").json

    assert (answer["counts"]["succeeded"], answer["counts"]["cancelled"], answer["cancelled_now"]) == (1, 1, 1)


@pytest.mark.parametrize("name", [NOBODY, "nothing", "1"])
def test_an_unknown_batch_is_404(client, name):
    statuses = [client.get(f"/v2/batches/{name}").status_code, client.get(f"/v2/batches/{name}/executions").status_code]

    assert [*statuses, client.post(f"/v2/batches/{name}/cancel").status_code] == [404] * 3
