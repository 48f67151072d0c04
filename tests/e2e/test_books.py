"""What is booked is what the model has counted, and what was cut is uncertain: together they are the calls it saw."""

import json
from collections import Counter
from signal import SIGKILL, SIGTERM

import pytest
from sqlalchemy import text

from shared import db
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


@pytest.fixture
def seen(model_server):
    """What the model has written down of an execution: calls, and the tokens of those that it answered."""
    log = model_server.directory / "demo_model.log"

    def seen(execution):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        ours = {line["call"] for line in lines if line.get("execution") == execution["uuid"]}
        ended = [line for line in lines if line["call"] in ours and "seconds" in line]
        whole = [line["usage"]["total_tokens"] for line in ended if line.get("usage") and not line["cut"]]
        return len(ours), len(whole), sum(whole)

    return seen


def booked(execution):
    """Rows of the books by whether they are uncertain, tokens of those that are not, and intents left."""
    with db.autocommit() as connection:
        rows = connection.execute(
            text("SELECT uncertain, total_tokens FROM usage WHERE execution_id = :id"), {"id": execution["id"]}
        ).all()
        left = connection.execute(
            text("SELECT count(*) FROM calls WHERE execution_id = :id"), {"id": execution["id"]}
        ).scalar_one()
    kinds = Counter("uncertain" if row.uncertain else "answered" if row.total_tokens else "refused" for row in rows)
    return kinds, sum(row.total_tokens for row in rows if not row.uncertain and row.total_tokens), left


@pytest.fixture
def balance(seen):
    """Wait until the books agree with the model; what kinds of calls they have."""

    def balance(execution):
        def agree():
            kinds, tokens, left = booked(execution)
            calls, answered, counted = seen(execution)
            return left == 0 and (sum(kinds.values()), kinds["answered"], tokens) == (calls, answered, counted)

        until(agree)
        return booked(execution)[0]

    return balance


def ended(execution, report):
    return until(lambda: (found := report(execution))["ended_at"] and found)


def layer(report, number=0):
    return report["properties"][0]["layers"][number]


def test_every_answer_is_booked_and_every_refusal_counted(start, execute, report, balance):
    start("worker")
    execution = execute(chain("demo:status=503,times=1", "demo:mode=null_content,times=1", "demo"), film="Avatar")

    found = ended(execution, report)

    assert balance(execution) == {"answered": 4, "refused": 1}
    assert found["usage"]["total_tokens"] == booked(execution)[1]
    assert 0 < layer(found, 1)["retried_usage"]["total_tokens"] < found["usage"]["total_tokens"]
    assert found["cost"] == pytest.approx(
        (found["usage"]["prompt_tokens"] + 2 * found["usage"]["completion_tokens"]) / 1e6, abs=1e-10
    )


def test_a_call_in_flight_at_a_workers_death_is_uncertain(start, execute, report, in_flight, balance):
    worker = start("worker")
    execution = execute(chain("demo", "demo:mode=silent,times=1"), film="Avatar")
    until(lambda: in_flight() == 1)

    worker.send_signal(SIGKILL)
    start("worker")
    found = ended(execution, report)

    assert balance(execution) == {"answered": 2, "uncertain": 1}
    uncertain = report(execution)["uncertain"]
    assert (found["attempt"], uncertain["calls"], uncertain["tokens"] > 0, uncertain["cost"] > 0) == (2, 1, True, True)
    assert layer(report(execution), 1)["uncertain"] == uncertain


def test_a_call_that_a_cancel_cuts_is_uncertain_at_once(start, http, execute, in_flight, balance):
    start("worker")
    execution = execute(chain("demo", "demo:mode=silent"), film="Avatar")
    until(lambda: in_flight() == 1)

    answer = http.post(f"/v2/executions/{execution['uuid']}/cancel").json()

    assert (answer["status"], answer["uncertain"]["calls"]) == ("cancelled", 1)
    assert balance(execution) == {"answered": 1, "uncertain": 1}


def test_a_call_that_the_deadline_cuts_is_uncertain(start, http, report, in_flight, balance):
    start("worker")
    http.put("/v2/pipelines/pipeline", json=chain("demo", "demo:mode=silent")).raise_for_status()
    body = {"inputs": {"film": "Avatar"}, "deadline_seconds": 2}
    execution = http.post("/v2/pipelines/pipeline/versions/latest/executions", json=body).json()

    found = ended(execution, report)

    assert found["error"]["reason"] == "deadline"
    assert balance(execution) == {"answered": 1, "uncertain": 1}
    assert report(execution)["uncertain"]["calls"] == 1


def test_a_call_that_its_layers_time_cuts_is_uncertain(start, execute, report, balance):
    start("worker")
    definition = chain("demo:mode=silent")
    definition["properties"][0]["layers"][0]["timeout_seconds"] = 1
    execution = execute(definition, film="Avatar")

    found = ended(execution, report)

    assert found["error"]["reason"] == "provider_timeout"
    assert balance(execution) == {"uncertain": found["uncertain"]["calls"]}


def test_a_call_that_a_drain_cuts_is_uncertain_and_made_again(start, execute, report, in_flight, balance):
    worker = start("worker", STRATA_DRAIN_SECONDS=1)
    execution = execute(chain("demo:mode=silent,times=1"), film="Avatar")
    until(lambda: in_flight() == 1)

    worker.send_signal(SIGTERM)
    worker.wait(10)
    assert report(execution)["uncertain"]["calls"] == 1
    start("worker")
    ended(execution, report)

    assert balance(execution) == {"answered": 1, "uncertain": 1}


def test_a_call_that_nobody_has_settled_yet_is_told_as_uncertain(start, http, execute, report, in_flight):
    worker = start("worker")
    execution = execute(chain("demo:mode=silent"), film="Avatar")
    until(lambda: in_flight() == 1)
    assert report(execution)["uncertain"]["calls"] == 0

    # Without a worker nobody does the round.
    worker.send_signal(SIGKILL)
    worker.wait()
    with db.transaction() as connection:
        connection.execute(text("UPDATE executions SET status = 'queued', worker = NULL"))

    assert booked(execution) == ({}, 0, 1)
    assert report(execution)["uncertain"]["calls"] == 1


@pytest.mark.parametrize("bound", [{"max_tokens": 160}, {"max_cost_usd": 0.00026}], ids=["tokens", "cost"])
def test_parallel_calls_stay_within_the_budget_together(start, http, report, balance, bound):
    start("worker")
    names = ("one", "two", "three", "four", "five", "six")
    layer = {"kind": "prompt", "model": "demo:latency=100"}
    properties = [{"name": name, "layers": [{**layer, "prompt": f"{name}: {{{{film}}}}"}]} for name in names]
    definition = {"inputs": [{"name": "film"}], "properties": properties}
    http.put("/v2/pipelines/pipeline", json=definition).raise_for_status()
    body = {"inputs": {"film": "Avatar"}, **bound}
    execution = http.post("/v2/pipelines/pipeline/versions/latest/executions", json=body).json()

    found = ended(execution, report)

    assert balance(execution)["answered"] > 1
    spent = {"max_tokens": found["usage"]["total_tokens"], "max_cost_usd": found["cost"]}
    assert all(0 < spent[name] <= most for name, most in bound.items())
    assert "budget_exceeded" in {each["error"]["reason"] for each in found["properties"] if each["error"]}
