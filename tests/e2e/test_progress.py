"""Workers that live and take no work: they say so, and get well by themselves."""

from pathlib import Path
from signal import SIGTERM

import httpx2
import pytest
from sqlalchemy import text

from shared import broker, db
from tests.chaos import proxy
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e

QUEUES = ("onsite", "normal", "low")
STALL_SECONDS = 2
#: How long a half-open connection to the broker may keep work waiting, in seconds.
HALF_OPEN_SECONDS = 35
#: An expression that works for a minute or so: for each item a list of 2^17 items is made flat, level by level.
ENDLESS = f"map(&({' | '.join(['[@, @]'] * 17)} | @{'[]' * 17} | length(@)), @)"


@pytest.fixture
def deafen(settings):
    """Have a worker listen to no queue any more, by Celery's remote control."""

    def deafen(worker):
        with broker.celery_app(settings) as celery_app:
            control = celery_app.control
            for queue in QUEUES:
                until(lambda queue=queue: control.cancel_consumer(queue, reply=True, timeout=1))

    return deafen


def ids():
    """The ids of the live workers, by their pid."""
    with db.autocommit() as connection:
        return {row.pid: str(row.id) for row in connection.execute(text("SELECT id, pid FROM workers"))}


def sockets(worker):
    """The sockets that a process has open; no two that ever were have the same number."""
    opened = Path(f"/proc/{worker.pid}/fd")
    return {name for each in opened.iterdir() if (name := str(each.readlink())).startswith("socket:")}


def readiness(worker):
    try:
        answer = httpx2.get(f"http://127.0.0.1:{worker.port}/readyz", trust_env=False, timeout=2)
    except httpx2.TransportError:
        return 0, ""
    return answer.status_code, answer.text


def test_a_deaf_worker_says_so_and_starts_itself_anew(start, deafen, execute, report):
    worker = start("worker", STRATA_STALL_SECONDS=STALL_SECONDS)
    before = ids()
    deafen(worker)

    execution = execute(chain("demo"), film="Avatar")

    assert "is not taken" in until(lambda: (found := readiness(worker))[0] == 503 and found[1])
    until(lambda: report(execution)["ended_at"], seconds=20)
    assert (report(execution)["status"], worker.poll()) == ("succeeded", None)
    assert ids().keys() == before.keys() == {worker.pid}
    assert ids() != before


def test_a_worker_that_started_itself_anew_is_as_good_as_new(start, deafen, execute, report, statuses):
    worker = start("worker", STRATA_STALL_SECONDS=STALL_SECONDS)
    execute(chain("demo"), film="Avatar")
    until(lambda: statuses() == {"succeeded": 1})
    opened, arguments = sockets(worker), Path(f"/proc/{worker.pid}/cmdline").read_bytes()
    deafen(worker)

    execute(chain("demo"), film="Alien")
    until(lambda: statuses() == {"succeeded": 2}, seconds=20)

    until(lambda: readiness(worker)[0] == 200)
    assert Path(f"/proc/{worker.pid}/cmdline").read_bytes() == arguments
    assert opened
    assert not opened & sockets(worker)


def test_a_half_open_connection_to_the_broker_is_noticed(start, execute, report, environment, statuses):
    with proxy.in_front_of(environment["REDIS_URL"]) as (between, url):
        worker = start("worker", REDIS_URL=url)
        execute(chain("demo"), film="Avatar")
        until(lambda: statuses() == {"succeeded": 1})
        before = ids()

        between.silence()
        between.heal()
        execute(chain("demo"), film="Alien")

        until(lambda: statuses() == {"succeeded": 2}, seconds=HALF_OPEN_SECONDS)
        assert (ids(), worker.poll()) == (before, None)


@pytest.fixture
def hang(execute):
    """Execute what hangs, far beyond its time and grace."""

    def hang():
        layers = [{"kind": "extract", "value": "{{items}}", "expression": ENDLESS, "timeout_seconds": 0.1}]
        definition = {"inputs": [{"name": "items", "type": "array"}], "properties": [{"name": "p", "layers": layers}]}
        return execute(definition, items=[0] * 600)

    return hang


def test_a_worker_in_which_a_layer_hangs_starts_itself_anew(start, hang, execute, report):
    worker = start("worker", STRATA_STALL_SECONDS=1, STRATA_DRAIN_SECONDS=1)
    before = ids()

    execution = hang()

    until(lambda: report(execution)["ended_at"])
    assert report(execution)["error"]["reason"] == "layer_timeout"
    until(lambda: readiness(worker)[0] == 200 and ids() != before, seconds=20)
    assert ids().keys() == {worker.pid}
    execution = execute(chain("demo"), film="Avatar")
    until(lambda: report(execution)["status"] == "succeeded")


def test_a_worker_in_which_a_layer_hangs_can_be_stopped(start, hang, report):
    worker = start("worker", STRATA_DRAIN_SECONDS=1)
    execution = hang()
    until(lambda: report(execution)["ended_at"])

    worker.send_signal(SIGTERM)

    assert (worker.wait(8), ids()) == (0, {})


def test_a_suspect_that_hangs_ends_with_its_process(start, hang, report):
    execution = hang()
    with db.transaction() as connection:
        connection.execute(text("UPDATE executions SET deaths = 2 WHERE id = :id"), {"id": execution["id"]})
    worker = start("worker", STRATA_STALL_SECONDS=1)
    alone = until(lambda: next((pid for pid in ids() if pid not in (0, worker.pid)), None))

    until(lambda: report(execution)["ended_at"], seconds=25)

    assert report(execution)["error"]["reason"] == "layer_timeout"
    until(lambda: not Path(f"/proc/{alone}").exists())
    assert ids().keys() == {worker.pid}
