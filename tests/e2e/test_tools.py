"""A model that calls tools, and a worker that dies between two of its rounds."""

import time
from signal import SIGKILL

import pytest

from tests.e2e.conftest import LEASE_SECONDS
from tests.waiting import until

pytestmark = pytest.mark.e2e

NOTE = {"type": "emit", "name": "note", "params_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}


def test_a_killed_worker_costs_only_the_round_that_was_under_way(start, execute, report, calls, in_flight, statuses):
    layer = {"kind": "prompt", "name": "say", "prompt": "Hi.", "model": "demo:latency=1500", "tools": [NOTE]}
    worker = start("worker")
    execution = execute({"properties": [{"name": "answer", "layers": [layer]}]})
    until(lambda: calls(execution)["answer/say/rounds[1]"] == 1 and in_flight() == 1)

    worker.send_signal(SIGKILL)
    died_at = time.monotonic()
    start("worker")
    until(lambda: report(execution)["ended_at"])

    assert time.monotonic() - died_at < LEASE_SECONDS + 10
    assert calls(execution) == {"answer/say/rounds[0]": 1, "answer/say/rounds[1]": 2}
    assert statuses() == {"succeeded": 1}
    assert len(report(execution)["properties"][0]["layers"][0]["details"]["emitted"]) == 1
