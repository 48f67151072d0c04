"""Runs a program of the product that will kill itself: `python -m tests.chaos.crashing PROGRAM ARGUMENTS…`.

Either at a point, once: CHAOS_POINT names it, CHAOS_PASSING counts up to the passing that is deadly. Or whenever it
asks a model for something with CHAOS_POISON in it. Right before its SIGKILL it writes a line into CHAOS_MARK: its pid,
the time, how its writes are signed. The product knows nothing of this: functions are wrapped where their callers
look them up.
"""

import importlib
import itertools
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.points import POINTS, Point
from tests.chaos.processes import Crash

#: How a launcher of this kind is put before a command.
LAUNCHER = (sys.executable, "-m", "tests.chaos.crashing")
ALONE = "worker.alone"


def main() -> None:
    """Arm the point or the poison and become the program."""
    del sys.argv[0]
    mark = Path(os.environ["CHAOS_MARK"])
    point = POINTS.get(os.environ.get("CHAOS_POINT", ""))
    # What kills in a process of its own has to get there.
    subprocess.Popen = _Followed  # type: ignore[misc]
    if point is None:
        die_of(os.environ["CHAOS_POISON"], mark)
    elif (point.process == "alone") == (sys.argv[0] == ALONE):
        die_at(point, int(os.environ["CHAOS_PASSING"]), mark)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def die_at(point: Point, passing: int, mark: Path) -> None:
    """Have this process, and whatever it forks, die at a passing of a point."""
    passed = itertools.count(1)

    def pass_by() -> None:
        if next(passed) == passing and not mark.exists():
            die(mark)

    wrap(point.target, lambda function: _watched(function, point, pass_by))


def die_of(poison: str, mark: Path) -> None:
    """Have this process die each time that it asks a model something with the poison in it."""

    def poisoned(send: Callable[..., Any]) -> Callable[..., Any]:
        def watched(sender: Any, request: Any) -> Any:
            if poison in str(request.question.messages):
                die(mark)
            return send(sender, request)

        return watched

    wrap("worker.providers.sending:Sender._spoken", poisoned)


def wrap(target: str, wrapping: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put a wrapping around `module:name` or `module:Class.method`, for everybody who looks it up there."""
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for each in outer:
        owner = getattr(owner, each)
    setattr(owner, name, wrapping(getattr(owner, name)))


def die(mark: Path) -> None:
    """Write the mark and die."""
    with mark.open("a") as file:
        file.write(f"{os.getpid()} {time.time()} {os.environ['PGTZ']}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def _watched(function: Callable[..., Any], point: Point, pass_by: Callable[[], None]) -> Callable[..., Any]:
    def watched(*arguments: Any, **named: Any) -> Any:
        if point.when == "before":
            pass_by()
            return function(*arguments, **named)
        result = function(*arguments, **named)
        if result or not point.found:
            pass_by()
        return result

    return watched


def deaths(mark: Path) -> list[tuple[int, Crash]]:
    """Who has died so: pid, time and signature."""
    lines = mark.read_text().splitlines() if mark.exists() else []
    return [(int(pid), Crash(float(at), writer)) for pid, at, writer in (line.split() for line in lines)]


class _Followed(subprocess.Popen):  # type: ignore[type-arg]
    """Has the process of a suspect started by way of this launcher too."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        if ALONE in command:
            command = [*LAUNCHER, ALONE, *command[command.index(ALONE) + 1 :]]
        super().__init__(command, **options)


if __name__ == "__main__":
    main()
