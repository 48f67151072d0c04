"""A stack of its own for a scenario: servers, a model, and the product's processes, which faults happen to.

with chaos_stack(lease_seconds=3) as stack:
    stack.start_api()
    stack.start_workers(2)
    stack.client.publish("short", "demo:latency=200")
    stack.client.submit("short")
    stack.workers[0].kill()
    stack.settle()
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from deploy.local import ports
from deploy.local.demo_server import DemoModel
from deploy.local.postgres import Postgres
from deploy.local.redis_server import Redis
from deploy.local.stack import with_programs
from tests.chaos import ledger
from tests.chaos.client import Client
from tests.chaos.processes import ROOT, Crash, Process
from tests.waiting import until

KEY = "chaos-key-that-is-long-enough"
#: After the last fault everything accepted ends within this many seconds.
SETTLE_SECONDS = 120.0


class Stack:
    """Servers that run and processes that a scenario starts; `environment` is what the latter will be told.

    A scenario may change the environment before it starts a process: another lease, or a proxy before a server. The
    books always read from `database_url`, the server itself.
    """

    def __init__(
        self, directory: Path, postgres: Postgres, redis: Redis, model: DemoModel, environment: dict[str, str]
    ) -> None:
        self.directory = directory
        self.postgres = postgres
        self.redis = redis
        self.model = model
        self.environment = environment
        self.database_url = environment["DATABASE_URL"]
        self.url = f"http://127.0.0.1:{environment['PORT']}"
        self.client = Client(self.url, KEY)
        self.processes: list[Process] = []
        self._numbers: Counter[str] = Counter()
        #: Deaths that a process brought upon itself.
        self.own_crashes: list[Crash] = []

    @property
    def workers(self) -> list[Process]:
        """The workers, in the order of their first start."""
        return [each for each in self.processes if each.name.startswith("worker")]

    @property
    def crashes(self) -> list[Crash]:
        """Every kill and freeze so far, and what killed itself."""
        return sorted(
            [*self.own_crashes, *(each for process in self.processes for each in process.crashes)],
            key=lambda each: each.at,
        )

    @property
    def calls_log(self) -> Path:
        """The model's own log of calls."""
        return self.model.directory / "demo_model.log"

    def start(
        self,
        kind: str,
        *,
        wait: bool = True,
        launcher: Sequence[str] = (),
        prefix: Sequence[str] = (),
        **settings: object,
    ) -> Process:
        """Start a process of the Procfile, with settings of its own; returns it when it is ready, or at once."""
        label = {"web": "api"}.get(kind, kind)
        self._numbers[label] += 1
        name = f"{label}{self._numbers[label]}"
        process = Process(
            kind,
            name,
            environment={**self.environment, **{key: str(value) for key, value in settings.items()}},
            output=self.directory / f"{name}.log",
            launcher=launcher,
        )
        self.processes.append(process)
        return process.start(wait=wait)

    def start_api(self, **options: Any) -> Process:
        """Start the API at `url`."""
        return self.start("web", **options)

    def start_workers(self, count: int, *, supervised: bool = False, **options: Any) -> list[Process]:
        """Start workers side by side; `tend` starts supervised ones again. Returns them once all are ready."""
        started = [self.start("worker", wait=False, **options) for _ in range(count)]
        for each in started:
            each.started().supervised = supervised
        return started

    def tend(self) -> None:
        """Do what a supervisor does: start again what is found dead, without waiting for it."""
        for each in self.processes:
            if each.supervised and not each.alive:
                each.start(wait=False)

    def until(self, condition: Callable[[], Any], seconds: float = 30.0, *, what: str = "it") -> Any:
        """Wait until a condition holds, and supervise meanwhile; TimeoutError."""
        return until(lambda: self.tend() or condition(), seconds, what=what)  # type: ignore[func-returns-value]

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until every execution has ended; says nothing where they do not, because the books will."""
        with contextlib.suppress(TimeoutError):
            self.until(lambda: not self.unended(), seconds)

    def unended(self) -> int:
        """How many executions have not ended."""
        return int(self.rows("SELECT count(*) FROM executions WHERE ended_at IS NULL")[0][0])

    def running(self) -> dict[str, str]:
        """What runs now: uuid → the writer that has claimed it."""
        return dict(
            self.rows("""
            SELECT DISTINCT ON (e.uuid) e.uuid::text, l.writer FROM executions e JOIN ledger l ON l.uuid = e.uuid
             WHERE e.status = 'running' AND l.after = 'running' ORDER BY e.uuid, l.line DESC
        """)
        )

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database, read past any proxy."""
        return ledger.rows(self.database_url, sql, *values)

    def in_flight(self) -> int:
        """How many calls the model has not answered yet."""
        url = self.environment["OPENAI_BASE_URL"].removesuffix("/v1") + "/_calls/count"
        return int(httpx2.get(url, trust_env=False).json()["in_flight"])

    def clear(self) -> None:
        """Forget executions, workers, books and what the client was told, for the next try on the same servers."""
        self.rows(
            "TRUNCATE executions, contents, layer_results, threads, calls, usage, workers, duties, ledger, duty_ledger"
            " RESTART IDENTITY CASCADE"
        )
        self.client.close()
        self.client = Client(self.url, KEY)
        self.own_crashes.clear()
        for each in self.processes:
            each.crashes.clear()

    def end(self, process: Process) -> None:
        """Be rid of a process for good."""
        process.end()
        self.processes.remove(process)

    def keep_logs(self, folder: Path) -> None:
        """Copy every log to a folder, which is emptied first."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for each in self.directory.glob("*.log"):
            shutil.copy(each, folder)

    def close(self) -> None:
        """End every process."""
        self.client.close()
        while self.processes:
            self.end(self.processes[-1])


@contextlib.contextmanager
def chaos_stack(*, lease_seconds: float = 3.0, drain_seconds: float = 10.0, **settings: object) -> Iterator[Stack]:
    """Servers, model and a migrated database with the ledger in it; every process ends with the block."""
    with contextlib.ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="strata-chaos-")))
        postgres = exits.enter_context(Postgres(directory))
        redis = exits.enter_context(Redis(directory))
        environment = with_programs({
            **{name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "OPENAI_", "PG"))},
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "PORT": str(ports.free()),
            "STRATA_BOOTSTRAP_KEY": KEY,
            "STRATA_LEASE_SECONDS": str(lease_seconds),
            "STRATA_DRAIN_SECONDS": str(drain_seconds),
            "OPENAI_API_KEY": "demo",
            **{name: str(value) for name, value in settings.items()},
        })
        model = DemoModel(directory, checkout=ROOT, environment=environment)
        environment["OPENAI_BASE_URL"] = model.start()
        exits.callback(model.stop)
        alembic = (sys.executable, "-m", "alembic", "-c", "deploy/alembic.ini", "upgrade", "head")
        subprocess.run(alembic, cwd=ROOT, env=environment, check=True, capture_output=True)
        ledger.install(postgres.url)
        stack = Stack(directory, postgres, redis, model, environment)
        exits.callback(stack.close)
        yield stack
