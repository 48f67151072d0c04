"""Real processes: the Procfile's own commands, a model that is a process too, and a look at what each of them did."""

import base64
import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import httpx2
import pytest
import redis
from sqlalchemy import text

from deploy.local import children, ports, procfile
from deploy.local.demo_server import DemoModel
from deploy.local.stack import with_programs
from shared import db
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 3.0
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")

Start = Callable[..., "subprocess.Popen[bytes]"]


def answers(url: str) -> bool:
    """Say whether a GET of the URL gives 200."""
    try:
        return httpx2.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


def plain(command: bytes) -> bytes:
    """A command to Redis, and whatever in it can be read as base64."""
    found = [base64.b64decode(piece + b"=" * (-len(piece) % 4), validate=False) for piece in _BASE64.findall(command)]
    return b"\n".join([command, *found])


def _follow(monitor: Any, seen: list[bytes]) -> None:
    for each in monitor.listen():
        if each["command"] == "ECHO that was all":
            return
        seen.append(each["command"].encode())


@pytest.fixture
def commands(servers: dict[str, str], database: None) -> Iterator[list[bytes]]:
    """Every command that anybody sends to Redis from now on, as bytes."""
    # Nobody may have anything to say for long.
    client = redis.Redis.from_url(servers["REDIS_URL"], socket_timeout=None)
    seen: list[bytes] = []
    with client.monitor() as monitor:
        thread = threading.Thread(target=_follow, args=(monitor, seen), name="monitor")
        thread.start()
        yield seen
        client.echo("that was all")
        thread.join()
    client.close()


@pytest.fixture(scope="package")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoModel]:
    """The demo model as a process; `directory / "demo_model.log"` is its log."""
    server = DemoModel(tmp_path_factory.mktemp("model"), checkout=ROOT, environment=with_programs({}))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def environment(servers: dict[str, str], model_server: DemoModel) -> dict[str, str]:
    """What every process is told, with a short lease."""
    url = (model_server.directory / "demo_model.url").read_text().strip()
    return with_programs({
        **servers,
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "demo",
        "STRATA_SECRET_KEYS": "a key of the tests that seals secrets",
        "STRATA_LEASE_SECONDS": str(LEASE_SECONDS),
        "STRATA_DRAIN_SECONDS": "10",
        "STRATA_PRICES": "{default/*: {prompt: 1, completion: 2}}",
    })


@pytest.fixture(scope="package")
def launch(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Start a process of the Procfile by its name; `.output` is the file that it writes to."""
    commands = procfile.read(ROOT / "Procfile")
    outputs = tmp_path_factory.mktemp("outputs")

    def launch(name: str, **settings: object) -> "subprocess.Popen[bytes]":
        with (outputs / f"{name}-{time.monotonic_ns()}.log").open("wb") as output:
            child = children.start(
                ["sh", "-c", f"exec {commands[name]}"],
                death_signal=SIGKILL,
                environment={**environment, **{key: str(value) for key, value in settings.items()}},
                directory=ROOT,
                output=output,
            )
        child.output = Path(output.name)  # type: ignore[attr-defined]
        return child

    return launch


@pytest.fixture(scope="package")
def api(launch: Start) -> Iterator["subprocess.Popen[bytes]"]:
    """One gunicorn for all these tests; `.url` is where it answers."""
    port = ports.free()
    child = launch("web", PORT=port)
    child.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    until(lambda: answers(f"{child.url}/readyz"))  # type: ignore[attr-defined]
    yield child
    children.stop(child, (SIGTERM, 10.0))


@pytest.fixture(scope="package")
def api_url(api: Any) -> str:
    """The URL of the API."""
    return str(api.url)


@pytest.fixture(scope="package")
def api_output(api: Any) -> Path:
    """The file that the API logs to."""
    found: Path = api.output
    return found


@pytest.fixture
def in_background() -> Callable[..., Callable[[], Any]]:
    """Begin something on another thread; what is returned waits for its result."""
    pool = ThreadPoolExecutor()
    return lambda function: pool.submit(function).result


@pytest.fixture
def start_unready(database: None, launch: Start) -> Iterator[Start]:
    """Start a process that ends with the test; `.port` is where a worker will answer."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, **settings: object) -> "subprocess.Popen[bytes]":
        port = ports.free()
        started.append(launch(name, STRATA_WORKER_PORT=port, **settings))
        started[-1].port = port  # type: ignore[attr-defined]
        return started[-1]

    yield start
    # What a test is not about, it need not wait for.
    for child in started:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, SIGKILL)
        child.wait()


@pytest.fixture
def start(start_unready: Start) -> Start:
    """Start a process as above, and return once it is ready."""

    def start(name: str, **settings: object) -> Any:
        child: Any = start_unready(name, **settings)
        until(lambda: answers(f"http://127.0.0.1:{child.port}/readyz"))
        return child

    return start


@pytest.fixture
def http(api_url: str, organization: int, make_key: Callable[..., str]) -> Iterator[httpx2.Client]:
    """A client with an admin key."""
    headers = {"Authorization": f"Bearer {make_key(organization)}"}
    with httpx2.Client(base_url=api_url, headers=headers, trust_env=False, timeout=70) as client:
        yield client


@pytest.fixture
def execute(http: httpx2.Client) -> Callable[..., dict[str, Any]]:
    """Publish a definition and start an execution of it: `execute(definition, film="Avatar")`."""

    def execute(definition: dict[str, Any], /, **inputs: Any) -> dict[str, Any]:
        http.put("/v2/pipelines/pipeline", json=definition).raise_for_status()
        answer = http.post("/v2/pipelines/pipeline/versions/latest/executions", json={"inputs": inputs})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    return execute


@pytest.fixture
def report(http: httpx2.Client) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Read the report of an execution again."""
    return lambda execution: http.get(f"/v2/executions/{execution['uuid']}").raise_for_status().json()


@pytest.fixture
def statuses(database: None) -> Callable[[], dict[str, int]]:
    """Count the executions in Postgres by their status."""

    def statuses() -> dict[str, int]:
        with db.transaction() as connection:
            rows = connection.execute(text("SELECT status, count(*) FROM executions GROUP BY status"))
            return {row[0]: row[1] for row in rows}

    return statuses


@pytest.fixture
def calls(model_server: DemoModel) -> Callable[[dict[str, Any]], Counter[str]]:
    """Count the calls that the model itself has logged for an execution, by layer."""
    log = model_server.directory / "demo_model.log"

    def calls(execution: dict[str, Any]) -> Counter[str]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return Counter(line["layer"] for line in lines if line.get("execution") == execution["uuid"])

    return calls


@pytest.fixture
def in_flight(environment: dict[str, str]) -> Callable[[], int]:
    """How many calls the model has not answered yet."""
    url = environment["OPENAI_BASE_URL"].removesuffix("/v1") + "/_calls/count"
    return lambda: httpx2.get(url, trust_env=False).json()["in_flight"]
