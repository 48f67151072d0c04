"""What the tests of the local stack share."""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import children

CHECKOUT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user or lose capabilities")


def alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def python(code: str, *arguments: object, user: pwd.struct_passwd | None = None, **environment: str) -> str:
    """Run a program with our modules, as another user if told so; return what it writes, or fail."""
    child = children.start(
        [sys.executable, "-c", code, *map(str, arguments)],
        death_signal=signal.SIGKILL,
        environment=children.bare_environment() | {"PYTHONPATH": str(CHECKOUT)} | environment,
        user=user,
        directory=Path("/"),
        output=subprocess.PIPE,
    )
    said = child.communicate()[0].decode()
    assert child.returncode == 0, said
    return said


@contextlib.contextmanager
def command(*arguments: object, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `python -m deploy.local` with these arguments and kill it at the end, if it still runs."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "OPENAI_"))}
    for name in ("DATABASE_URL", "REDIS_URL", "PORT", "HOST", "FLOWER_PORT", "FLOWER_BASIC_AUTH"):
        given.pop(name, None)
    child = subprocess.Popen(
        [sys.executable, "-m", "deploy.local", *map(str, arguments)],
        env=given | {"OPENAI_API_KEY": "none"} | environment,
        cwd=CHECKOUT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with child:
        yield child
        child.kill()
