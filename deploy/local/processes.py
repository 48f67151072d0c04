"""A small supervisor: starts processes, shows what they write, starts again what dies, and stops them all."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local import children
from deploy.local.errors import LocalError
from deploy.local.interrupts import Interrupts
from deploy.local.output import Output

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
# A process that lived this long was well, and its next death is a new story.
WELL_AFTER_SECONDS = 30.0
LOOK_SECONDS = 0.1


class Process:
    """One line of the Procfile, alive or waiting to be started again."""

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self.command = command
        self.child: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None
        self.started_at = 0.0
        self.due_at = 0.0
        self.delay = FIRST_DELAY


class Supervisor:
    """Processes by name. Start it in a thread that lasts, because they are killed when that thread ends."""

    def __init__(
        self,
        commands: Mapping[str, str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: Output,
        grace_seconds: float,
    ) -> None:
        self.processes = {name: Process(name, command) for name, command in commands.items()}
        self.environment = environment
        self.directory = directory
        self.output = output
        self.grace_seconds = grace_seconds

    def run(self, interrupts: Interrupts, watch: Callable[[], bool] = lambda: True) -> None:
        """Keep the processes running until an interrupt, or until `watch`, asked every 0.1 s, says False."""
        try:
            while not interrupts.count and watch():
                self.look()
                time.sleep(LOOK_SECONDS)
        finally:
            self.output.say("stopping; Ctrl-C again kills at once")
            self.stop(interrupts)

    def look(self) -> None:
        """Start what is due, and note what has died; call it often."""
        for process in self.processes.values():
            if process.child is None and time.monotonic() >= process.due_at:
                self._start(process)
            elif process.child is not None and _end(process.child):
                self._died(process)

    def stop(self, interrupts: Interrupts | None = None) -> None:
        """Ask all to end and wait for the grace, or until interrupted again; then kill what is left."""
        asked_before = interrupts.count if interrupts else 0
        for process in self.processes.values():
            if process.child is not None:
                os.kill(process.child.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.grace_seconds
        while any(process.child is not None and not _end(process.child) for process in self.processes.values()):
            if time.monotonic() > deadline or (interrupts and interrupts.count > asked_before):
                break
            time.sleep(0.02)
        for process in self.processes.values():
            if process.child is not None:
                _kill_group(process.child)
                process.child.wait()
                self._finish(process)

    def pids(self) -> dict[str, int]:
        """Return the pids of those that run."""
        return {name: process.child.pid for name, process in self.processes.items() if process.child}

    def _start(self, process: Process) -> None:
        process.child = spawn(process.command, self.environment, self.directory)
        process.started_at = time.monotonic()
        assert process.child.stdout is not None
        process.reader = self.output.follow(process.name, process.child.stdout)
        self.output.say(f"started {process.name} (pid {process.child.pid})")

    def _died(self, process: Process) -> None:
        assert process.child is not None
        # What it has started itself may still hold its port.
        _kill_group(process.child)
        code = process.child.wait()
        self._finish(process)
        now = time.monotonic()
        if now - process.started_at >= WELL_AFTER_SECONDS:
            process.delay = FIRST_DELAY
        process.due_at = now + process.delay
        process.delay = min(process.delay * 2, LONGEST_DELAY)
        self.output.say(f"{process.name} died (exit {code}), starting it again")

    def _finish(self, process: Process) -> None:
        process.child = None
        if process.reader is not None:
            process.reader.join(timeout=1)


def release(
    command: str, *, environment: Mapping[str, str], directory: Path, output: Output, interrupts: Interrupts
) -> None:
    """Run the release command to its end. LocalError unless it exits with 0; an interrupt stops it."""
    # Not replaced by its command, because a release may be several.
    child = children.start(
        ["sh", "-c", command],
        death_signal=signal.SIGKILL,
        environment=environment,
        directory=directory,
        output=subprocess.PIPE,
    )
    assert child.stdout is not None
    reader = output.follow("release", child.stdout)
    while not _end(child) and not interrupts.count:
        time.sleep(0.02)
    _kill_group(child)
    code = child.wait()
    reader.join(timeout=1)
    if code != 0 and not interrupts.count:
        raise LocalError(f"release failed (exit {code})")


def spawn(command: str, environment: Mapping[str, str], directory: Path) -> "subprocess.Popen[bytes]":
    """Start a line of the Procfile; its pid is the command's own and not a shell's."""
    return children.start(
        ["sh", "-c", f"exec {command}"],
        death_signal=signal.SIGKILL,
        environment=environment,
        directory=directory,
        output=subprocess.PIPE,
    )


def _end(child: "subprocess.Popen[bytes]") -> bool:
    # It stays a zombie, so that its pid, which is its group's number too, is nobody else's yet.
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
