"""Flower as the Procfile runs it: behind a login, and without a word of what executions hold."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from deploy.local import ports, procfile
from deploy.local.redis_server import Redis
from deploy.local.stack import CHECKOUT
from shared import broker
from shared.settings import Settings
from tests.waiting import until
from worker.task_events import TaskEvents

LOGIN = ("ada", "correct-horse")
SECRET = "zardoz-in-the-inputs"


def environment(**others: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "FLOWER_"))}
    return given | others


def flower_command() -> list[str]:
    program, *arguments = shlex.split(procfile.read(CHECKOUT / "Procfile")["flower"])
    return [sys.executable, "-m", program, *arguments]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory) -> Iterator[str]:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def flower(redis_url) -> Iterator[str]:
    port = ports.free()
    given = environment(REDIS_URL=redis_url, FLOWER_PORT=str(port), FLOWER_BASIC_AUTH=":".join(LOGIN))
    with subprocess.Popen(flower_command(), cwd=CHECKOUT, env=given) as child:
        until(lambda: ports.answers("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
        child.terminate()


@pytest.fixture(scope="module")
def executed(flower, redis_url) -> dict[str, str]:
    """Uuids of an execution that passed and one that failed, both of which Flower knows."""
    app = broker.celery_app(Settings(redis_url=redis_url))
    events = TaskEvents(app, "worker-1@here", enabled=True)
    uuids = {"SUCCESS": uuid4(), "FAILURE": uuid4()}

    def known() -> bool:
        # Said again until Flower listens: an event is heard by whoever listens then, and by nobody later.
        for status, uuid in zip(("succeeded", "failed"), uuids.values(), strict=True):
            events.started(uuid, "film-reviews@3")
            events.ended(uuid, "film-reviews@3", status, 1.25)
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send("task-received", uuid=str(uuid4()), name="stranger", args=SECRET, kwargs=SECRET)
        time.sleep(0.2)
        tasks = httpx2.get(f"{flower}/api/tasks", auth=LOGIN).json()
        return {"film-reviews@3", "stranger"} <= {task["name"] for task in tasks.values()}

    until(known)
    events.close()
    return {state: str(uuid) for state, uuid in uuids.items()}


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/tasks", "/broker", "/api/tasks", "/api/workers", "/api/task/types", "/metrics"]
)
def test_nothing_is_shown_without_the_login(flower, path):
    assert httpx2.get(f"{flower}{path}").status_code == 401
    assert httpx2.get(f"{flower}{path}", auth=("ada", "wrong")).status_code == 401
    assert httpx2.get(f"{flower}{path}", auth=LOGIN, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE"])
def test_an_execution_is_a_task_of_its_own(flower, executed, state):
    task = httpx2.get(f"{flower}/api/task/info/{executed[state]}", auth=LOGIN).json()

    shown = [task[name] for name in ("name", "state", "runtime", "worker", "args", "kwargs")]
    assert shown == ["film-reviews@3", state, 1.25, "worker-1@here", "()", "{}"]
    assert not task["result"]


def test_the_pages_blank_what_any_task_holds(flower, executed):
    tasks = httpx2.get(f"{flower}/api/tasks", auth=LOGIN).json()
    stranger = next(uuid for uuid, task in tasks.items() if task["name"] == "stranger")
    columns = {"order[0][column]": 0, "order[0][dir]": "asc", "columns[0][data]": "name"}
    table = httpx2.get(f"{flower}/tasks/datatable", params={"draw": 1, "start": 0, "length": 99, **columns}, auth=LOGIN)

    assert stranger in table.text
    assert SECRET not in table.text
    assert SECRET not in httpx2.get(f"{flower}/task/{stranger}", auth=LOGIN).text


def test_nothing_can_be_changed(flower):
    answer = httpx2.post(f"{flower}/api/worker/shutdown/worker-1@here", auth=LOGIN)

    assert answer.status_code == 403


@pytest.mark.parametrize("login", [None, "", "ada", "ada:", ":horse", "ada:horse,"])
def test_flower_refuses_to_start_without_a_login(login):
    given = environment(REDIS_URL="redis://127.0.0.1:9", FLOWER_PORT="0")
    given |= {} if login is None else {"FLOWER_BASIC_AUTH": login}

    ended = subprocess.run(flower_command(), cwd=CHECKOUT, env=given, capture_output=True, text=True, timeout=30)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("FLOWER_BASIC_AUTH is required")
