"""Child processes that end when their parent does, however it ends."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.local.interrupts import Interrupts

LAUNCHER = Path(__file__).with_name("launcher.py")


def start(
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    environment: Mapping[str, str],
    user: pwd.struct_passwd | None = None,
    directory: Path | None = None,
    source: IO[bytes] | int | None = subprocess.DEVNULL,
    output: IO[bytes] | int | None = None,
    foreground: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, or in the terminal's foreground. Its pid is the command's.

    `death_signal` reaches it when the calling *thread* ends, so call this from a thread that lasts, like the
    main one. `user` is only for root. It reads from `source` and writes, errors too, to `output`.
    """
    owner = f"{user.pw_uid}:{user.pw_gid}" if user else "-"
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(int(death_signal)), str(os.getpid()), owner]
    return subprocess.Popen(
        [*launcher, *command],
        stdin=source,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=dict(environment),
        cwd=directory,
        start_new_session=not foreground,
    )


def bare_environment() -> dict[str, str]:
    """Return an environment in which nothing of the caller's bends a server, such as PG… variables or a locale."""
    bare = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    # A Python that was moved finds its own library so, and the launcher is run by it.
    kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return bare | kept


def stop(child: "subprocess.Popen[bytes]", *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal and give it its seconds, until the child has ended; at last SIGKILL."""
    for number, seconds in steps:
        if child.poll() is None:
            child.send_signal(number)
        try:
            child.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue
    child.kill()
    child.wait()


def outlast(child: "subprocess.Popen[bytes]", interrupts: Interrupts) -> int:
    """Wait for a foreground child to end, and return its code; a request to stop us is passed on to it."""
    passed_on = 0
    while child.poll() is None:
        # Ctrl-C has reached it already, from the terminal.
        if interrupts.count > passed_on and interrupts.last != signal.SIGINT:
            child.terminate()
        passed_on = interrupts.count
        time.sleep(0.02)
    return child.returncode
