"""Answers that are made in the background, across the death, the drain and the cancel of who waits for them."""

import os
from signal import SIGKILL, SIGTERM

import pytest

from tests import factories
from tests.factories import prompt_layer, source
from tests.waiting import until

pytestmark = pytest.mark.e2e
RESPONSES = {"STRATA_PROVIDERS": '{"default": {"responses": true}}', "STRATA_DRAIN_SECONDS": 1}


@pytest.fixture
def waits(start, execute):
    """A worker that waits for an answer in the background, and the execution."""

    def waits(model):
        worker = start("worker", **RESPONSES)
        execution = execute(source(prompt_layer(model=model, background=True, retry={"attempts": 4})))
        until(lambda: factories.query("SELECT 1 FROM calls WHERE response_id IS NOT NULL"))
        return worker, execution

    return waits


def booked(execution):
    return [
        (row.outcome, row.uncertain, row.total_tokens)
        for row in factories.query("SELECT * FROM usage WHERE execution_id = :id", id=execution["id"])
    ]


@pytest.mark.parametrize("end", [SIGKILL, SIGTERM])
def test_who_takes_over_fetches_the_answer_that_was_asked_for_before(waits, start, report, calls, end):
    worker, execution = waits("demo:duration=6000")

    if end == SIGKILL:
        os.killpg(worker.pid, end)
    else:
        os.kill(worker.pid, end)
    start("worker", **RESPONSES)
    until(lambda: report(execution)["status"] == "succeeded", 40)

    found = report(execution)
    assert found["attempt"] > 1
    assert calls(execution) == {"answer/0": 1}
    assert booked(execution) == [("answered", False, found["usage"]["total_tokens"])]
    assert factories.query("SELECT 1 FROM calls") == []


def test_a_cancelled_execution_cancels_its_answer_at_the_provider(waits, http, report, in_flight):
    _, execution = waits("demo:duration=60000")
    assert in_flight() == 1

    http.post(f"/v2/executions/{execution['uuid']}/cancel").raise_for_status()

    until(lambda: in_flight() == 0, 2)
    until(lambda: report(execution)["status"] == "cancelled")
    assert [(outcome, uncertain) for outcome, uncertain, _ in booked(execution)] == [("uncertain", True)]
