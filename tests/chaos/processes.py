"""Processes that faults happen to: each a group of its own, started by its command in the Procfile."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from deploy.local import children, ports, procfile
from tests.waiting import until

ROOT = Path(__file__).parents[2]
#: A start that takes longer than this, in seconds, is a fault.
START_SECONDS = 60.0


@dataclass(frozen=True)
class Crash:
    """A death or a freeze of a process: when, by the clock of this machine, and how its writes are signed."""

    at: float
    writer: str


def answers(url: str) -> bool:
    """Say whether a GET of the URL gives 200."""
    try:
        return httpx2.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False


def command(name: str, launcher: Sequence[str] = ()) -> list[str]:
    """The Procfile's command of this name as a shell starts it, perhaps by way of a launcher."""
    whole = procfile.read(ROOT / "Procfile")[name]
    settings = re.match(r"(env (\w+=\S* )+)?", whole)[0]  # type: ignore[index]
    return ["sh", "-c", f"exec {settings}{shlex.join(launcher)} {whole.removeprefix(settings)}"]


class Process:
    """A process of the product; it may be started again after its end.

    Everything it writes into Postgres is signed with its name: libpq hands PGTZ on to the session, and a zone may
    have any name and no offset.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        environment: Mapping[str, str],
        output: Path,
        launcher: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.writer = f"<{name.upper()}>0"
        self.output = output
        self.crashes: list[Crash] = []
        #: Supervised ones are started again when they are found dead.
        self.supervised = False
        self.port = int(environment["PORT"]) if kind == "web" else ports.free()
        self._command = command(kind, launcher)
        self._environment = {**environment, "PGTZ": self.writer, "STRATA_WORKER_PORT": str(self.port)}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the process, and of its group."""
        assert self._child is not None
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True while it runs, or is frozen."""
        return self._child is not None and self._child.poll() is None

    @property
    def ready(self) -> bool:
        """True while its own probe says so."""
        return answers(f"http://127.0.0.1:{self.port}/readyz")

    def start(self, *, wait: bool = True) -> "Process":
        """Start it; returns once it is ready, or at once."""
        with self.output.open("ab") as output:
            self._child = children.start(
                self._command,
                death_signal=signal.SIGKILL,
                environment=self._environment,
                directory=ROOT,
                output=output,
            )
        return self.started() if wait else self

    def started(self) -> "Process":
        """Return once it is ready; TimeoutError with what it said last where it does not come to that."""
        try:
            until(lambda: self.ready, START_SECONDS)
        except TimeoutError as error:
            said = self.output.read_text(errors="replace").strip()[-500:]
            raise TimeoutError(f"{self.name} did not start within {START_SECONDS:g} s, it said last: {said}") from error
        return self

    def kill(self) -> None:
        """SIGKILL the whole group, and return when it is dead."""
        self._crashed()
        self._send(signal.SIGKILL)
        self._wait(10.0)

    def freeze(self) -> None:
        """SIGSTOP the whole group."""
        self._crashed()
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT the whole group."""
        self._send(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM to the process itself, as a supervisor sends it; returns at once."""
        os.kill(self.pid, signal.SIGTERM)

    def exit_code(self, seconds: float = 60.0) -> int:
        """Wait for its end and return how it ended; TimeoutError where it does not in time."""
        return self._wait(seconds)

    def end(self) -> None:
        """Be rid of it: no fault, only the end of a scenario."""
        if self._child is not None:
            self._send(signal.SIGKILL)
            self._wait(10.0)

    def _crashed(self) -> None:
        self.crashes.append(Crash(time.time(), self.writer))

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _wait(self, seconds: float) -> int:
        assert self._child is not None
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{self.name} has not ended within {seconds:g} s") from error
