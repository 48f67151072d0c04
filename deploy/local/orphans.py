"""Servers that a crashed stack has left behind on its data."""

import contextlib
import os
import signal
import time
from pathlib import Path

from deploy.local.errors import LocalError


def pids(program: Path, directory: Path) -> list[int]:
    """Return the processes that run the program inside the directory.

    A server enters its data directory when it starts and nobody else's server does, so the pair says whose it
    is, whatever a pid file says: what has got a dead server's pid differs. Postgres's children are found too.
    """
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [number for number in numbers if _runs(number, program, directory)]


def end(program: Path, directory: Path, *steps: tuple[signal.Signals, float]) -> None:
    """End what `pids` finds, each signal with its seconds, at last SIGKILL. For the lock's holder only."""
    for number, seconds in [*steps, (signal.SIGKILL, 10.0)]:
        for pid in pids(program, directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while pids(program, directory):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return
    raise LocalError(f"an old {program.name} on {directory} does not end: {pids(program, directory)}")


def _runs(pid: int, program: Path, directory: Path) -> bool:
    entry = Path(f"/proc/{pid}")
    try:
        # The kernel adds this where the file was replaced, as by a reinstalled package.
        name = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        return name == program.resolve().name and (entry / "cwd").samefile(directory)
    except OSError:
        # It has ended, or it is another user's and so not ours.
        return False
