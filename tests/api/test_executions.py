"""`/v2/executions`: accepted, waited for, read, cancelled, expired."""

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared import broker, db, doorbell
from tests import factories
from tests.api.definitions import REVIEW, asks, pipeline
from worker.process import Process

START = "/v2/pipelines/pipeline/versions/latest/executions"
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")


@pytest.fixture
def start(client, publish):
    """Publish a definition and start it: `start(REVIEW, film="Avatar")`."""

    def start(definition=REVIEW, /, *, body=None, headers=None, **inputs):
        publish(definition)
        return client.post(START, json={"inputs": inputs, **(body or {})}, headers=headers)

    return start


def test_an_accepted_execution_is_told_with_its_place(client, start):
    answer = start(film="Avatar")

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v2/executions/{answer.json['uuid']}"
    assert client.get(answer.headers["Location"]).json == answer.json


def test_an_execution_is_found_by_uuid_and_by_id(client, start):
    accepted = start(film="Avatar").json

    for name in (accepted["id"], accepted["uuid"], accepted["uuid"].upper()):
        assert client.get(f"/v2/executions/{name}").json == accepted


def test_a_report_tells_everything_about_a_success(client, start, model, worker):
    model.script([{"answer": "Fine."}])
    body = {"tags": {"a": "b"}, "metadata": {"c": [1, {"d": None}]}, "end_user": "eve", "priority": "onsite"}

    accepted = start(body=body, film="Avatar").json
    worker.work()

    found = client.get(f"/v2/executions/{accepted['uuid']}").json
    (review,) = found["properties"]
    (layer,) = review["layers"]
    assert {key: found[key] for key in ("status", "output", "error", "attempt", "inputs", *body)} == {
        "status": "succeeded",
        "output": {"review": "Fine."},
        "error": None,
        "attempt": 1,
        "inputs": {"film": "Avatar"},
        **body,
    }
    assert (review["state"], review["value"], layer["state"], layer["output"]) == ("passed", "Fine.", "passed", "Fine.")
    assert (layer["path"], layer["calls"], layer["usage"]) == ("review/0", 1, found["usage"])


def test_times_are_in_order_and_in_utc(client, start, worker):
    accepted = start(film="Avatar").json
    worker.work()

    found = client.get(f"/v2/executions/{accepted['uuid']}").json
    (layer,) = found["properties"][0]["layers"]
    times = [found["accepted_at"], found["started_at"], layer["started_at"], layer["ended_at"], found["ended_at"]]
    assert all(MOMENT.fullmatch(each) for each in times)
    assert times == sorted(times)
    assert kept_seconds(found) == pytest.approx(86_400, abs=1)


def kept_seconds(found):
    moments = [datetime.fromisoformat(found[name]) for name in ("ended_at", "expires_at")]
    return (moments[1] - moments[0]).total_seconds()


def test_a_report_tells_where_it_failed_and_keeps_the_rest(client, start, model, worker):
    model.script([{"match": "bad", "status": 400, "body": "no"}, {"answer": "fine"}])
    definition = pipeline(asks("good", name="good"), asks("bad", "never", name="bad"), asks("{{bad}}", name="after"))

    accepted = start(definition).json
    worker.work()

    found = client.get(f"/v2/executions/{accepted['uuid']}").json
    assert (found["status"], found["output"]) == ("failed", {"good": "fine"})
    assert found["error"] == {"reason": "provider_bad_request", "message": "no"}
    assert {each["name"]: each["state"] for each in found["properties"]} == {
        "good": "passed", "bad": "failed", "after": "skipped"
    }  # fmt: skip
    assert [each["state"] for each in found["properties"][1]["layers"]] == ["failed", "skipped"]


def test_a_caller_that_waits_gets_the_end(start, working):
    with working():
        answer = start(film="Avatar", headers={"Prefer": "respond-async, wait=5"})

    assert (answer.status_code, answer.json["status"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=5"


def test_a_caller_waits_no_longer_than_it_said(start):
    answer = start(film="Avatar", headers={"Prefer": "wait=1"})

    assert (answer.status_code, answer.json["status"]) == (202, "queued")


@pytest.mark.parametrize("preference", ["", "wait", "wait=x", "wait=-1", "await=5", "return=minimal"])
def test_what_cannot_be_read_is_not_preferred(start, preference):
    answer = start(film="Avatar", headers={"Prefer": preference})

    assert (answer.status_code, "Preference-Applied" in answer.headers) == (202, False)


def test_a_reader_can_wait_too(client, start, working):
    accepted = start(film="Avatar")

    with working():
        answer = client.get(accepted.headers["Location"], headers={"Prefer": "wait=5"})

    assert (answer.json["status"], answer.headers["Preference-Applied"]) == ("succeeded", "wait=5")


def test_what_has_not_changed_is_not_sent_again(client, start, worker):
    place = start(film="Avatar").headers["Location"]
    tag = client.get(place).headers["ETag"]

    same = client.get(place, headers={"If-None-Match": tag})
    worker.work()
    changed = client.get(place, headers={"If-None-Match": tag})

    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", tag)
    assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)


@pytest.mark.parametrize("body", [{}, {"not_before": "2199-01-01T00:00:00+02:00"}])
def test_what_does_not_run_is_cancelled_at_once(client, start, worker, model, body):
    accepted = start(film="Avatar", body=body)

    answer = client.post(f"{accepted.headers['Location']}/cancel")
    worker.work()

    assert (answer.status_code, answer.json["status"], answer.json["error"]["reason"]) == (
        200,
        "cancelled",
        "cancelled",
    )
    assert model.totals()["count"] == 0


def test_what_runs_is_cancelled_by_its_worker(client, start, working, model):
    model.script([{"mode": "silent"}])
    accepted = start(film="Avatar")

    with working():
        model.wait_for(lambda totals: totals["in_flight"] == 1)
        answer = client.post(f"{accepted.headers['Location']}/cancel")
        hung_up = model.totals()["in_flight"] == 0

    assert (answer.status_code, answer.json["status"], hung_up) == (200, "cancelled", True)


def test_a_ring_before_the_end_does_not_make_a_cancel(client, start):
    uuid = UUID(start(film="Avatar").json["uuid"])
    factories.claim()
    ring = threading.Timer(0.3, doorbell.ring, (doorbell.ENDED, uuid))
    ring.start()

    answer = client.post(f"/v2/executions/{uuid}/cancel")

    assert (answer.status_code, answer.json) == (202, {"status": "cancelling"})
    ring.join()


def test_a_cancel_twice_is_the_same(client, start):
    place = start(film="Avatar").headers["Location"]

    answers = [client.post(f"{place}/cancel") for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json == answers[1].json


@pytest.mark.parametrize(("rule", "status"), [({}, "succeeded"), ({"status": 400}, "failed")])
def test_what_has_ended_cannot_be_cancelled(client, start, worker, model, rule, status):
    model.script([rule])
    place = start(film="Avatar").headers["Location"]
    worker.work()

    answer = client.post(f"{place}/cancel")

    assert (answer.status_code, answer.json["detail"]) == (409, f"the execution has {status} already")
    assert client.get(place).json["status"] == status


def test_what_is_not_due_waits_for_its_time(client, start, worker, until):
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    accepted = start(film="Avatar", body={"not_before": due.isoformat()})

    worker.work()

    assert (accepted.json["status"], accepted.json["blocked_by"]) == ("waiting", "schedule")
    assert client.get(accepted.headers["Location"]).json["status"] == "waiting"
    until(lambda: worker.work() or client.get(accepted.headers["Location"]).json["status"] == "succeeded")
    assert datetime.fromisoformat(client.get(accepted.headers["Location"]).json["started_at"]) >= due


def test_a_time_in_the_past_is_now(start):
    assert start(film="Avatar", body={"not_before": "1990-01-01T00:00:00Z"}).json["status"] == "queued"


def test_a_deadline_ends_what_runs_and_what_waits(client, start, working, model, until):
    model.script([{"mode": "silent"}])

    with working():
        running = start(film="Avatar", body={"deadline_seconds": 1})
        until(lambda: client.get(running.headers["Location"]).json["ended_at"], seconds=5)

    found = client.get(running.headers["Location"]).json
    assert (found["status"], found["error"]) == ("failed", {"reason": "deadline", "message": "the deadline is over"})
    assert model.totals()["in_flight"] == 0


def test_a_deadline_ends_what_nobody_runs(client, start, worker, until):
    queued = start(film="Avatar", body={"deadline_seconds": 1})

    until(lambda: client.get(queued.headers["Location"]).json["ended_at"], seconds=5)

    assert client.get(queued.headers["Location"]).json["error"]["reason"] == "deadline"


@pytest.fixture
def forgetful(settings, database):
    """A worker whose results are kept for a second."""
    changed = replace(settings, result_seconds=1.0, worker_port=19200)
    process = Process(changed, broker.celery_app(changed), "forgetful@here")
    process.start()
    yield process
    process.close()
    db.connect(settings.database_url)
    broker.connect(settings)


def test_what_has_expired_is_a_tombstone_without_any_sweep(client, start, forgetful, until, rows):
    accepted = start(film="Avatar", body={"tags": {"a": "canary"}, "end_user": "canary"})
    forgetful.work()
    until(lambda: client.get(accepted.headers["Location"]).status_code == 410, seconds=3)

    answer = client.get(accepted.headers["Location"])

    assert (answer.content_type, rows()["contents"]) == ("application/problem+json", 1)
    assert answer.json["execution"]["status"] == "succeeded"
    assert "canary" not in answer.text
    assert client.post("/v1/executions/retrieve", json={"id": accepted.json["id"]}).json == {
        "error": "Operation failed - execution_log not found", "meta_data": None
    }  # fmt: skip
    assert client.get("/v2/executions").json["executions"][0]["expired"] is True
    assert client.get("/v2/executions?end_user=canary").json["executions"] == []


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "A.b_c:d/e+f="])
def test_the_id_of_a_request_comes_back(client, given):
    assert client.get("/v2/executions", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", [None, "", "a" * 129, "a b", "ä", "<script>"])
def test_a_request_without_a_good_id_gets_one(client, given):
    headers = {} if given is None else {"X-Request-Id": given}

    assert UUID(client.get("/v2/none", headers=headers).headers["X-Request-Id"]).version == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/none", 404), ("POST", "/v2/executions", 405), ("GET", "/v2/executions/1", 404)],
)
def test_an_error_is_a_problem(client, method, path, status):
    answer = client.open(path, method=method)

    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert list(answer.json) == ["type", "title", "status", "detail"]
    assert (answer.json["type"], answer.json["status"]) == ("about:blank", status)
