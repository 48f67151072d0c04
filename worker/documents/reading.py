"""Has a document read by a process of its own, which may come to any end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from shared.intake import Chunk
from worker.documents.blocks import Unreadable

#: A little more than the process gives itself, its start included.
SECONDS = 70.0
_TOO_LONG = "it took longer to read than a document may"
_ENDS = {signal.SIGALRM: _TOO_LONG, signal.SIGXCPU: _TOO_LONG}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a document."""

    text: str
    chunks: list[Chunk]


def read(mime_type: str, body: bytes, *, began: Callable[[subprocess.Popen[bytes]], None] = lambda _: None) -> Reading:
    """Read a document; Unreadable with what to say of it where that cannot be done.

    `began` is given the process, which may be killed from then on.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.documents", mime_type],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # The secrets of this process are no business of one that a stranger's file may lead anywhere.
        env={"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )
    with process:
        began(process)
        try:
            written, _ = process.communicate(body, SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Unreadable(_TOO_LONG) from None
        except BaseException:
            process.kill()
            raise
    return _read(process.returncode, written)


def _read(code: int, written: bytes) -> Reading:
    if code:
        raise Unreadable(_ENDS.get(signal.Signals(-code), _broke(code)) if code < 0 else _broke(code))
    found = json.loads(written)
    if "error" in found:
        raise Unreadable(found["error"])
    return Reading(found["text"], [Chunk(*each) for each in found["chunks"]])


def _broke(code: int) -> str:
    return f"its reader broke down with {code}"
