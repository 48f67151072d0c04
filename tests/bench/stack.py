"""The processes under measurement: servers and model on one core, the one that is measured alone on the other."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2

from deploy.local import ports
from deploy.local.postgres import Postgres
from deploy.local.redis_server import Redis
from tests.waiting import until

ROOT = Path(__file__).parents[2]
KEY = "bench-key-that-is-long-enough"
CORES = sorted(os.sched_getaffinity(0))
#: Where everything else runs, and where the process under measurement does.
OTHERS, MEASURED = {CORES[0]}, {CORES[-1]}
_TICKS = os.sysconf("SC_CLK_TCK")


class Bench:
    """A stack without its processes; start those that a measurement is about."""

    def __init__(self, directory: Path, environment: dict[str, str], model_url: str) -> None:
        self.directory = directory
        self.environment = environment
        self.model_url = model_url
        self.url = f"http://127.0.0.1:{environment['PORT']}"

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let every process run on every core during the block, as an operating system would."""
        try:
            self._place(set(CORES))
            yield
        finally:
            self._place(OTHERS)

    @contextlib.contextmanager
    def running(self, name: str, *command: str, cores: set[int], **settings: str) -> Iterator[int]:
        """Run a process on some cores during the block; gives its pid."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **settings},
                stdout=log,
                stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def api(self, *, cores: set[int], **settings: str) -> Iterator[int]:
        """Run the API; gives the pid of the process that answers."""
        command = (sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "api.wsgi:app")
        with self.running("api", *command, cores=cores, **settings) as pid:
            until(lambda: self._answers("/readyz"))
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            yield int(children[0])

    @contextlib.contextmanager
    def worker(self, *, cores: set[int], **settings: str) -> Iterator[int]:
        """Run a worker as the Procfile does; gives its pid."""
        command = "-m celery --app worker.app worker --without-gossip --without-mingle --task-events --loglevel WARNING"
        port = str(ports.free())
        with self.running(
            "worker", sys.executable, *command.split(), cores=cores, STRATA_WORKER_PORT=port, **settings
        ) as pid:
            until(lambda: _opens(f"http://127.0.0.1:{port}/readyz"))
            yield pid

    def request(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, object]:
        """Send one request and read its JSON."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers},
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return dict(json.load(answer))

    def publish(self, handle: str, *, layers: int, model: str = "demo") -> None:
        """Publish a pipeline of one property with so many prompt layers."""
        written = [
            {
                "kind": "prompt",
                "model": model,
                "prompt": "Say {{word}}." if not number else "Say it again: {{previous}}",
            }
            for number in range(layers)
        ]
        source = {"inputs": [{"name": "word"}], "properties": [{"name": "said", "layers": written}]}
        self.request("PUT", f"/v2/pipelines/{handle}", source)

    def clear(self) -> None:
        """Forget every execution."""
        self.query("TRUNCATE executions, contents, layer_results CASCADE")

    def ended(self) -> int:
        """How many executions have succeeded."""
        return int(str(self.query("SELECT count(*) FROM executions WHERE status = 'succeeded'")[0]))

    def query(self, sql: str) -> tuple[object, ...]:
        """One row of the database."""
        with contextlib.closing(psycopg2.connect(self.environment["DATABASE_URL"])) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return tuple(cursor.fetchone() or ()) if cursor.description else ()

    def model(self, method: str, path: str) -> dict[str, int]:
        """Ask the demo model's control API."""
        request = urllib.request.Request(self.model_url.removesuffix("/v1") + path, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def _place(self, cores: set[int]) -> None:
        for pid in _family(os.getpid()):
            # Some have ended since they were listed.
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), cores)

    def _answers(self, path: str) -> bool:
        return _opens(self.url + path)


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Servers and model, with a migrated database."""
    os.sched_setaffinity(0, OTHERS)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strata-bench-")))
        announced = directory / "model"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "OPENAI_"))},
            "DATABASE_URL": stack.enter_context(Postgres(directory)).url,
            "REDIS_URL": stack.enter_context(Redis(directory)).url,
            "PORT": str(ports.free()),
            "STRATA_BOOTSTRAP_KEY": KEY,
            "OPENAI_API_KEY": "demo",
        }
        found = Bench(directory, environment, "")
        alembic = (sys.executable, "-m", "alembic", "-c", "deploy/alembic.ini", "upgrade", "head")
        subprocess.run(alembic, cwd=ROOT, env=environment, check=True)
        command = (sys.executable, "-m", "deploy.demo_model", "--port", "0", "--announce", str(announced))
        stack.enter_context(found.running("model", *command, cores=OTHERS))
        until(announced.exists)
        found.model_url = environment["OPENAI_BASE_URL"] = announced.read_text().strip()
        yield found


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def _opens(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
