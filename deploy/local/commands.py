"""What `python -m deploy.local` can do, a function a command; each returns an exit code."""

import os
import signal
import sys
import tempfile
from pathlib import Path

from deploy.local import children, ports, processes, procfile
from deploy.local import stack as stacks
from deploy.local.interrupts import Interrupts
from deploy.local.output import Output
from deploy.local.postgres import Postgres
from deploy.local.processes import Supervisor
from deploy.local.redis_server import Redis
from deploy.local.stack import Stack


def run(directory: Path, procfile_path: Path, grace_seconds: float) -> int:
    """Run the stack and the Procfile's processes until Ctrl-C."""
    commands = procfile.read(procfile_path)
    output = Output(sys.stdout, list(commands))
    release = commands.pop("release", None)
    stack = Stack(directory, os.environ)
    with Interrupts() as interrupts:
        output.say("starting; Ctrl-C stops everything")
        with stack:
            if stack.uses_demo_model:
                output.say("no OPENAI_API_KEY and no OPENAI_BASE_URL: using the demo model, which makes answers up")
            if release is not None:
                processes.release(
                    release,
                    environment=stack.environment,
                    directory=stacks.CHECKOUT,
                    output=output,
                    interrupts=interrupts,
                )
            supervisor = Supervisor(
                commands,
                environment=stack.environment,
                directory=stacks.CHECKOUT,
                output=output,
                grace_seconds=grace_seconds,
            )
            supervisor.run(interrupts, Watch(stack, output))
        output.say("stopped")
    return 0


class Watch:
    """What `run` looks after besides the processes: the servers, and when the API answers first."""

    def __init__(self, stack: Stack, output: Output) -> None:
        self.stack = stack
        self.output = output
        self.announced = False

    def __call__(self) -> bool:
        """Look once."""
        self.stack.revive(self.output.say)
        environment = self.stack.environment
        if not self.announced and ports.answers(environment["HOST"], int(environment["PORT"])):
            self.announced = True
            self.output.say(banner(self.stack))
        return True


def banner(stack: Stack) -> str:
    """Return what a person needs to use the stack; of the secrets, those that were made here."""
    environment = stack.environment
    url = f"http://{environment['HOST']}:{environment['PORT']}"
    key, login = (
        f"the one in {name}" if os.environ.get(name) else environment[name]
        for name in ("STRATA_BOOTSTRAP_KEY", "FLOWER_BASIC_AUTH")
    )
    model = "the demo model, which makes answers up" if stack.uses_demo_model else "as OPENAI_… says"
    return "\n".join([
        "",
        f"  Strata   {url}   reference: {url}/docs",
        f"  Key      {key}",
        f"  Flower   http://{environment['FLOWER_HOST']}:{environment['FLOWER_PORT']}   login: {login}",
        f"  Models   {model}",
        f"  Data     {stack.directory}",
        "",
    ])


def worker(directory: Path, procfile_path: Path, grace_seconds: float) -> int:
    """Run one more worker against the stack on the directory, until Ctrl-C or the end of that stack."""
    environment = stacks.running_environment(directory, os.environ)
    port = ports.choose("STRATA_WORKER_PORT", None, host=environment["STRATA_WORKER_HOST"], first=9100)
    environment["STRATA_WORKER_PORT"] = str(port)
    command = procfile.read(procfile_path)["worker"]
    supervisor = Supervisor(
        {"worker": command},
        environment=environment,
        directory=stacks.CHECKOUT,
        output=Output(sys.stdout, ["worker"]),
        grace_seconds=grace_seconds,
    )
    with Interrupts() as interrupts:
        supervisor.run(interrupts, lambda: stacks.is_running(directory))
    return 0


def servers(directory: Path | None, command: list[str]) -> int:
    """Run a command with an embedded Postgres and Redis, in a fresh directory unless one is given."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="strata-") as fresh:
            return servers(Path(fresh), command)
    postgres, redis = Postgres(directory), Redis(directory)
    try:
        with Interrupts() as interrupts:
            urls = {"DATABASE_URL": postgres.start(), "REDIS_URL": redis.start()}
            child = children.start(
                command,
                death_signal=signal.SIGTERM,
                environment={**stacks.with_programs(os.environ), **urls},
                source=None,
                foreground=True,
            )
            return _exit_code(children.outlast(child, interrupts))
    finally:
        redis.stop()
        postgres.stop()


def _exit_code(code: int) -> int:
    # As shells tell of a signal.
    return 128 - code if code < 0 else code
