"""The witness: every call that reached the model, in memory and in a log file, apart from what any caller believes.

A record holds ids, times, status and token counts; never a prompt, an answer or a key.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAX_KEPT = 200_000
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(slots=True)
class Call:
    """One call; `seconds` is None while it is in flight, `status` None if no status line was sent."""

    call: int
    at: float
    path: str
    model: str
    execution: str | None
    layer: str | None
    attempt: int | str | None
    call_id: str | None
    status: int | None = None
    seconds: float | None = None
    usage: dict[str, int] | None = None
    cut: bool = False


class Calls:
    """All calls since the start or the last `clear()`; numbers go on rising across a clear."""

    def __init__(self, log: Path | None = None) -> None:
        self.watchers: list[Callable[[], None]] = []
        self._log = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._kept: deque[Call] = deque(maxlen=MAX_KEPT)
        self._numbers = self._cleared_at = 0
        self._count = self._answered = 0
        self._in_flight = self._max_in_flight = 0

    def arrive(self, path: str, model: str, headers: dict[str, str]) -> Call:
        """Book a call, and write it through to the operating system before anything else happens to it."""
        self._numbers += 1
        attempt = headers.get("x-strata-attempt")
        call = Call(
            self._numbers,
            round(time.time(), 6),
            path,
            model,
            headers.get("x-strata-execution"),
            headers.get("x-strata-layer"),
            int(attempt) if attempt and attempt.isdecimal() else attempt,
            headers.get("x-strata-call-id"),
        )
        self._kept.append(call)
        self._count += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        if self._log is not None:
            names = ("call", "at", "path", "model", "execution", "layer", "attempt", "call_id")
            self._write({name: getattr(call, name) for name in names})
        self._tell()
        return call

    def end(
        self, call: Call, *, seconds: float, status: int | None, usage: dict[str, int] | None, cut: bool, whole: bool
    ) -> None:
        """Book a call's end: `cut` if the client left too early, `whole` if the answer was sent as it should be."""
        call.seconds, call.status, call.usage, call.cut = round(seconds, 6), status, usage, cut
        self._in_flight -= 1
        # A call from before a clear is no part of the totals any more.
        if whole and call.call > self._cleared_at:
            self._answered += 1
        if self._log is not None:
            self._write({"call": call.call, "status": status, "seconds": call.seconds, "usage": usage, "cut": cut})
        self._tell()

    def totals(self) -> dict[str, int]:
        """Counts without a look at the single calls: `count`, `answered`, `in_flight`, `max_in_flight`."""
        return {
            "count": self._count,
            "answered": self._answered,
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
        }

    def select(self, **wanted: str | None) -> Iterator[dict[str, Any]]:
        """The kept calls whose `execution`, `layer`, `model` are as wanted, oldest first; None wants anything."""
        filters = [(name, value) for name, value in wanted.items() if value is not None]
        return (asdict(call) for call in self._kept if all(getattr(call, name) == value for name, value in filters))

    def clear(self) -> None:
        """Forget the calls so far; those in flight stay counted as such until they end."""
        self._kept.clear()
        self._cleared_at = self._numbers
        self._count = self._answered = 0
        self._max_in_flight = self._in_flight

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _write(self, record: dict[str, Any]) -> None:
        assert self._log is not None
        os.write(self._log, _encode(record).encode() + b"\n")

    def _tell(self) -> None:
        if self.watchers:
            for watcher in list(self.watchers):
                watcher()
