"""A cancel reaches the provider's connection."""

import time

import pytest

from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


def test_the_cancel_of_a_running_execution_hangs_up_on_the_provider(start, http, execute, in_flight, statuses):
    start("worker")
    execution = execute(chain("demo:mode=silent"), film="Avatar")
    until(lambda: in_flight() == 1)

    asked_at = time.monotonic()
    answer = http.post(f"/v2/executions/{execution['uuid']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert time.monotonic() - asked_at < 2
    assert (in_flight(), statuses()) == (0, {"cancelled": 1})


def test_the_cancel_of_a_dead_workers_execution_is_carried_out_by_the_next(
    start, http, execute, calls, in_flight, statuses
):
    worker = start("worker")
    execution = execute(chain("demo:mode=silent"), film="Avatar")
    until(lambda: in_flight() == 1)
    worker.kill()
    worker.wait()

    answer = http.post(f"/v2/executions/{execution['uuid']}/cancel")
    start("worker")

    assert (answer.status_code, answer.json()) == (202, {"status": "cancelling"})
    until(lambda: statuses() == {"cancelled": 1})
    assert calls(execution) == {"review/one": 1}
