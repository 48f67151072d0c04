"""Leaves a model alone that has been failing, and asks it again with one call first.

Only what the model itself is to blame for counts: a rate limit is a matter of pace, a bad request one of its sender,
and a time-out one of the layer that gave it too little time. State is this process's own; it is only advice.
"""

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.providers.faults import ProviderFault

logger = logging.getLogger(__name__)

#: A breaker opens where so many of the calls of the last seconds failed.
WINDOW_SECONDS = 30.0
LEAST_CALLS = 20
FAILED_SHARE = 0.5
#: How long it is open before a probe, in seconds; each probe that fails doubles it, up to the longest.
COOL_DOWN_SECONDS = 5.0
LONGEST_SECONDS = 60.0
#: After so many probes in a row that failed, nobody waits for the model any more: about half a minute.
LASTING_PROBES = 3
#: Between two looks whether a probe has come back, in seconds.
PROBE_SECONDS = 1.0
#: A call that had less time than this says nothing by running out of it, in seconds.
FAIR_SECONDS = 10.0
#: Lines beyond this are forgotten, except where their breaker is open.
MOST_LINES = 5000
_BLAMED = frozenset({"provider_overloaded", "provider_error", "provider_unreachable", "provider_garbage"})


class Admission(NamedTuple):
    """Whether a call may be sent: in how many seconds, 0 for now; why not; and whether it is the one that probes.

    Where the failure is `lasting`, nobody should wait.
    """

    wait_seconds: float
    reason: str = ""
    probe: bool = False
    lasting: bool = False


def speaks_against_model(fault: ProviderFault, seconds: float) -> bool:
    """Whether a call that had so many seconds failed by its model's fault."""
    if fault.reason == "provider_timeout":
        return fault.lost and seconds >= FAIR_SECONDS
    return fault.reason in _BLAMED and fault.retryable


class Breakers:
    """The breaker of each line, by its name."""

    def __init__(self) -> None:
        self._breakers: dict[str, _Breaker] = {}
        self._lock = threading.Lock()

    def admit(self, line: str) -> Admission:
        """Ask to send a call; one that is admitted must tell its end by `ended`."""
        with self._lock:
            breaker = self._breakers.get(line)
            return Admission(0.0) if breaker is None else breaker.admit(time.monotonic())

    def ended(self, line: str, *, failed: bool | None, reason: str = "", probe: bool = False) -> None:
        """Tell what came of a call: True for a failure of the model, None where it says nothing about it.

        What was sent before a breaker opened changes nothing any more.
        """
        with self._lock:
            if len(self._breakers) > MOST_LINES:
                self._breakers = {name: each for name, each in self._breakers.items() if each.open_until is not None}
            breaker = self._breakers.setdefault(line, _Breaker(line))
            breaker.ended(time.monotonic(), failed=failed, reason=reason, probe=probe)


@dataclass(slots=True)
class _Breaker:
    line: str
    open_until: float | None = None
    _calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0
    _cool_down: float = field(default_factory=lambda: COOL_DOWN_SECONDS)
    _probing: bool = False
    _probes_failed: int = 0
    _reason: str = "provider_error"

    def admit(self, now: float) -> Admission:
        if self.open_until is None:
            return Admission(0.0)
        if now < self.open_until:
            return self._wait(self.open_until - now)
        if self._probing:
            return self._wait(PROBE_SECONDS)
        self._probing = True
        return Admission(0.0, self._reason, probe=True)

    def _wait(self, seconds: float) -> Admission:
        return Admission(seconds, self._reason, lasting=self._probes_failed >= LASTING_PROBES)

    def ended(self, now: float, *, failed: bool | None, reason: str, probe: bool) -> None:
        if probe:
            self._probing = False
        if failed:
            self._reason = reason
        if self.open_until is None:
            if failed is not None:
                self._note(now, failed=failed)
        elif probe and failed is False:
            self._close()
        elif probe and failed:
            self._probes_failed += 1
            self._cool_down = min(LONGEST_SECONDS, self._cool_down * 2)
            self._open(now)

    def _note(self, now: float, *, failed: bool) -> None:
        self._calls.append((now, failed))
        self._failed += failed
        while self._calls[0][0] < now - WINDOW_SECONDS:
            self._failed -= self._calls.popleft()[1]
        if failed and len(self._calls) >= LEAST_CALLS and self._failed >= FAILED_SHARE * len(self._calls):
            self._open(now)

    def _open(self, now: float) -> None:
        # Jitter, or every worker sends its probe at once.
        self.open_until = now + self._cool_down * random.uniform(0.75, 1.25)  # noqa: S311
        seconds = round(self.open_until - now, 1)
        logger.warning("model left alone", extra={"line": self.line, "reason": self._reason, "seconds": seconds})

    def _close(self) -> None:
        self.open_until = None
        self._calls.clear()
        self._failed = 0
        self._cool_down = COOL_DOWN_SECONDS
        self._probing = False
        self._probes_failed = 0
