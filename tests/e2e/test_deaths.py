"""Workers that die or are told to stop, in the middle of their work."""

import os
import time
from signal import SIGKILL, SIGTERM

import pytest
from sqlalchemy import text

from shared import db
from tests.e2e.conftest import LEASE_SECONDS
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


def test_after_the_death_of_the_only_worker_no_layer_that_passed_runs_again(
    start, execute, report, calls, in_flight, statuses
):
    worker = start("worker")
    execution = execute(chain("demo", "demo:latency=1500", "demo"), film="Avatar")
    until(lambda: calls(execution)["review/two"] == 1 and in_flight() == 1)

    worker.send_signal(SIGKILL)
    died_at = time.monotonic()
    start("worker")
    until(lambda: report(execution)["ended_at"])

    assert time.monotonic() - died_at < LEASE_SECONDS + 10
    assert calls(execution) == {"review/one": 1, "review/two": 2, "review/three": 1}
    assert (report(execution)["attempt"], statuses()) == (2, {"succeeded": 1})


def test_a_worker_that_is_told_to_stop_ends_its_layer_and_gives_the_rest_back(
    start, execute, report, calls, in_flight, statuses
):
    worker = start("worker")
    execution = execute(chain("demo:latency=1500", "demo"), film="Avatar")
    until(lambda: in_flight() == 1)

    worker.send_signal(SIGTERM)
    code = worker.wait(10)

    assert (code, statuses(), calls(execution)) == (0, {"queued": 1}, {"review/one": 1})
    start("worker")
    until(lambda: report(execution)["ended_at"])
    assert (statuses(), calls(execution)) == ({"succeeded": 1}, {"review/one": 1, "review/two": 1})


def test_a_layer_that_outlasts_the_drain_is_closed_and_runs_again_elsewhere(
    start, execute, report, calls, in_flight, statuses
):
    worker = start("worker", STRATA_DRAIN_SECONDS=1)
    execution = execute(chain("demo:mode=silent,times=1"), film="Avatar")
    until(lambda: in_flight() == 1)

    worker.send_signal(SIGTERM)

    assert (worker.wait(10), in_flight(), statuses()) == (0, 0, {"queued": 1})
    start("worker")
    until(lambda: report(execution)["ended_at"])
    assert (statuses(), calls(execution)) == ({"succeeded": 1}, {"review/one": 2})


def test_what_takes_its_workers_down_too_often_is_failed(start, execute, report, in_flight, statuses):
    execution = execute(chain("demo:mode=silent"), film="Avatar")
    for _ in range(2):
        worker = start("worker", STRATA_MAX_DEATHS=2, STRATA_LEASE_SECONDS=1)
        until(lambda: in_flight() == 1)
        worker.send_signal(SIGKILL)
        worker.wait()
        until(lambda: in_flight() == 0)

    start("worker", STRATA_MAX_DEATHS=2, STRATA_LEASE_SECONDS=1)

    assert until(lambda: report(execution)["error"])["reason"] == "worker_lost"
    assert statuses() == {"failed": 1}


@pytest.fixture
def suspect(execute):
    """An execution, not begun, that two workers have died with."""

    def suspect(definition):
        execution = execute(definition, film="Avatar")
        with db.transaction() as connection:
            connection.execute(text("UPDATE executions SET deaths = 2 WHERE id = :id"), {"id": execution["id"]})
        return execution

    return suspect


def owner(execution):
    """The pid of the process whose claim an execution is."""
    query = "SELECT w.pid FROM executions e JOIN workers w ON w.id = e.worker WHERE e.id = :id"
    with db.autocommit() as connection:
        return connection.execute(text(query), {"id": execution["id"]}).scalar_one()


def test_a_suspect_runs_in_a_process_of_its_own(start, suspect, report, calls, in_flight):
    execution = suspect(chain("demo:latency=1000", "demo"))

    worker = start("worker")
    until(lambda: in_flight() == 1)

    assert owner(execution) != worker.pid
    until(lambda: report(execution)["ended_at"])
    assert report(execution)["status"] == "succeeded"
    assert calls(execution) == {"review/one": 1, "review/two": 1}


def test_a_suspect_that_dies_again_is_failed_and_its_neighbour_is_spared(start, suspect, execute, report, in_flight):
    execution = suspect(chain("demo:mode=silent"))
    start("worker")
    until(lambda: in_flight() == 1)
    neighbour = execute(chain("demo:latency=2000"), film="Alien")
    until(lambda: in_flight() == 2)

    os.kill(owner(execution), SIGKILL)
    until(lambda: report(execution)["ended_at"] and report(neighbour)["ended_at"])

    assert (report(execution)["status"], report(execution)["error"]["reason"]) == ("failed", "worker_lost")
    assert (report(neighbour)["status"], report(neighbour)["attempt"]) == ("succeeded", 1)
