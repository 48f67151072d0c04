"""`python -m deploy.local demo`: from nothing to answers, and back to nothing.

It has servers, ports, a key and data of its own, so that it neither finds nor disturbs a `make run` beside it.
DATABASE_URL and REDIS_URL replace its servers; a database that holds work of others is refused.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from deploy.local import guest, processes, procfile
from deploy.local import stack as stacks
from deploy.local import tour as tours
from deploy.local.errors import LocalError
from deploy.local.interrupts import Interrupts
from deploy.local.output import Output
from deploy.local.page import Page
from deploy.local.processes import FIRST_DELAY, Supervisor
from deploy.local.stack import Stack
from deploy.local.timeline import duration
from deploy.local.tour import Tour
from shared import log

GRACE_SECONDS = 10.0
LOG = "processes.log"
SERVERS = {"Postgres": "DATABASE_URL", "Redis": "REDIS_URL"}
# Of what configures a Strata, only this goes for the demo too: the examples name no model.
KEPT = "STRATA_DEFAULT_MODEL"


class Interrupted(LocalError):
    """Somebody has pressed Ctrl-C."""


def run(parent: Path | None, given: Mapping[str, str], *, procfile_path: Path, latency_ms: float) -> int:
    """Run the demo and return its exit code: 0 only if every execution passed.

    Its data is in a folder of its own under `parent`, or where temporary files go; it is kept only after a failure.
    """
    # A terminal that cannot show a bar is shown a question mark.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    page = Page(sys.stdout)
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="strata-demo-", dir=parent))
    passed = False
    try:
        passed = _demonstrate(Stack(directory, _own(given)), page, procfile.read(procfile_path), latency_ms)
    except Interrupted:
        passed = True
        page.write("stopped")
        return 130
    finally:
        if passed:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            page.write(f"what the processes wrote: {directory / LOG}")
    return 0 if passed else 1


def _own(given: Mapping[str, str]) -> dict[str, str]:
    others = ("STRATA_", "FLOWER_", "HOST", "PORT", "WEB_CONCURRENCY")
    own = {name: value for name, value in given.items() if name == KEPT or not name.startswith(others)}
    # Whatever is free: the usual ones are a `make run`'s.
    return own | {"PORT": "0", "FLOWER_PORT": "0", "STRATA_WORKER_PORT": "0"}


def _demonstrate(stack: Stack, page: Page, commands: dict[str, str], latency_ms: float) -> bool:
    commands.pop("flower", None)
    release = commands.pop("release", None)
    if url := stack.environment.get("DATABASE_URL"):
        guest.check(url, tours.handles())
    own = [name for name, variable in SERVERS.items() if not stack.environment.get(variable)]
    page.progress(f"starting {' and '.join(own)}, with fresh data" if own else "using the servers that were named")
    with Interrupts() as interrupts, stack, (stack.directory / LOG).open("w", encoding="utf-8") as file:
        page.progress(_model(stack, latency_ms))
        output = Output(file, ["release", *commands])
        environment, directory = stack.environment, stacks.CHECKOUT
        if release is not None:
            page.progress("migrating")
            processes.release(
                release, environment=environment, directory=directory, output=output, interrupts=interrupts
            )
        page.progress(f"starting {', '.join(commands)}")
        supervisor = Supervisor(
            commands, environment=environment, directory=directory, output=output, grace_seconds=GRACE_SECONDS
        )
        tour = Tour(environment, page, lambda: _check(interrupts, supervisor))
        _beside(supervisor, interrupts, tour.go)
        seen = _calls_seen(stack)
    return _sum_up(page, tour, seen)


def _model(stack: Stack, latency_ms: float) -> str:
    if not stack.uses_demo_model:
        url = stack.environment.get("OPENAI_BASE_URL")
        return f"using the models of {log.redact(url) if url else 'OpenAI'}, as OPENAI_… says"
    httpx2.put(_control(stack, "_behaviour"), json={"latency_ms": latency_ms}, trust_env=False).raise_for_status()
    return f"no OPENAI_API_KEY: using the demo model, which makes answers up, each within {latency_ms:g} ms"


def _calls_seen(stack: Stack) -> int | None:
    if not stack.uses_demo_model:
        return None
    count: int = httpx2.get(_control(stack, "_calls/count"), trust_env=False).json()["count"]
    return count


def _control(stack: Stack, path: str) -> str:
    return f"{stack.environment['OPENAI_BASE_URL'].removesuffix('/v1')}/{path}"


def _beside(supervisor: Supervisor, interrupts: Interrupts, work: Callable[[], None]) -> None:
    """Run work on another thread for as long as it takes, with the processes running; raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        supervisor.run(interrupts, lambda: not future.done())
    future.result()


def _check(interrupts: Interrupts, supervisor: Supervisor) -> None:
    if interrupts.count:
        raise Interrupted
    if died := [process.name for process in supervisor.processes.values() if process.delay > FIRST_DELAY]:
        raise LocalError(f"{', '.join(died)} died")


def _sum_up(page: Page, tour: Tour, seen: int | None) -> bool:
    good = not tour.failed and seen in (None, tour.calls)
    passed = tour.count - len(tour.failed)
    witness = "" if seen is None else f", the model saw {seen}"
    page.total(
        f"{passed} of {tour.count} executions passed, {tour.calls} model calls reported{witness}, "
        f"everything in {duration(page.seconds)}",
        good=good,
    )
    for name in tour.failed:
        page.write(f"failed: {name}")
    return good
