"""What leaves for Redis: events that Flower can show, permits without an id, and never what a caller wrote."""

import threading

import pytest

from shared import broker
from tests.e2e.conftest import plain
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e
CANARY = "canary-7f3a9b-in-an-input"


@pytest.fixture
def celery_app(settings):
    app = broker.celery_app(settings)
    yield app
    app.close()


@pytest.fixture
def events(celery_app, database):
    """Every Celery event from now on, as a monitor such as Flower receives them."""
    seen = []
    listening = threading.Event()

    def listen():
        with celery_app.connection_for_read() as connection:
            receiver = celery_app.events.Receiver(connection, handlers={"*": seen.append})
            for _ in receiver.itercapture(limit=None, timeout=0.5, wakeup=False):
                listening.set()
                if leaving.is_set():
                    return

    leaving = threading.Event()
    thread = threading.Thread(target=repeatedly(listen, leaving), name="events")
    thread.start()
    yield seen
    leaving.set()
    thread.join()


def repeatedly(listen, leaving):
    """The receiver gives up at each silence; listen again until it is time to leave."""

    def run():
        while not leaving.is_set():
            try:
                listen()
            except TimeoutError:
                continue

    return run


def of(seen, execution):
    return [each for each in seen if each.get("uuid") == execution["uuid"]]


@pytest.mark.parametrize(("asked", "end"), [("demo", "task-succeeded"), ("demo:status=400", "task-failed")])
def test_an_execution_is_told_as_a_task_without_its_values(start, execute, events, asked, end):
    start("worker")

    execution = execute(chain(asked), film=CANARY)
    until(lambda: any(each["type"] == end for each in of(events, execution)))

    told = of(events, execution)
    assert [each["type"] for each in told] == ["task-received", "task-started", end]
    assert (told[0]["name"], told[0]["args"], told[0]["kwargs"]) == ("pipeline@1", "()", "{}")
    assert told[-1]["runtime"] > 0
    assert CANARY not in str(events)


def test_permits_are_no_tasks_to_a_monitor(start, execute, events, statuses):
    start("worker")

    execution = execute(chain("demo"), film=CANARY)
    until(lambda: len(of(events, execution)) == 3)

    assert {each["uuid"] for each in events if each["type"].startswith("task-")} == {execution["uuid"]}


def test_nothing_that_a_caller_wrote_is_ever_sent_to_redis(start, http, commands, statuses):
    secret = http.headers["Authorization"].removeprefix("Bearer ")
    start("worker")
    http.put("/v2/pipelines/pipeline", json=chain("demo", "demo:status=400"))
    body = {"inputs": {"film": CANARY}, "tags": {"a": CANARY}, "metadata": {"b": CANARY}, "end_user": CANARY}

    http.post("/v2/pipelines/pipeline/versions/latest/executions", json=body, headers={"Prefer": "wait=20"})
    until(lambda: any(b"task-failed" in plain(each) for each in commands))

    sent = b"\n".join(plain(each) for each in commands)
    assert b"strata.work" in sent
    assert CANARY.encode() not in sent
    assert secret.encode() not in sent


def test_nothing_that_a_caller_wrote_is_logged(start, http, statuses, launch, api_output):
    secret = http.headers["Authorization"].removeprefix("Bearer ")
    worker = start("worker", STRATA_LOG_LEVEL="DEBUG")
    http.put("/v2/pipelines/pipeline", json=chain("demo", "demo:status=400"))
    path = "/v2/pipelines/pipeline/versions/latest/executions"

    http.post(path, json={"inputs": {"film": CANARY}}, headers={"Prefer": "wait=20"})
    http.post(path, json={"inputs": {"film": CANARY, CANARY: CANARY}})
    http.get(f"/v2/executions?end_user={CANARY}")

    logged = worker.output.read_text() + api_output.read_text()
    assert "execution failed" in logged
    assert CANARY not in logged
    assert secret not in logged
