"""The one way from a process to Redis that must never block it.

Everything that leaves here is a hint (a permit, a ring): when Redis is slow or away it is dropped, and the sweeps and
the waiters' own looks at Postgres make up for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import redis

from shared import metrics
from shared.hint_line import Hint, Line

logger = logging.getLogger(__name__)

#: How long one send may take, in seconds.
TIMEOUT_SECONDS = 0.3
#: After a failure nothing is sent for this long, in seconds.
BREAK_SECONDS = 1.0
#: Hints waiting beyond this are dropped, the oldest first.
CAPACITY = 10_000
#: A patient hint waits for company for this long, in seconds: a round trip costs ten times what a hint in it costs.
PATIENCE_SECONDS = 0.02


class Courier:
    """Sends hints: at once where that goes, else in the background; patient ones do not hold up the others."""

    def __init__(self, url: str) -> None:
        self._line = Line(url, timeout_seconds=TIMEOUT_SECONDS)
        self._urgent: deque[Hint] = deque(maxlen=CAPACITY)
        self._patient: deque[Hint] = deque(maxlen=CAPACITY)
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._carry, name="hints", daemon=True)
        self._thread.start()

    def send(self, *words: Any, patient: bool = False, lost: Callable[[], None] | None = None) -> None:
        """Send a command of Redis; returns at once, whatever Redis does. A patient one leaves a moment later.

        `lost` is called if it never gets there, as far as that is known.
        """
        hint = Hint(words, lost)
        if patient or not self._line.send_at_once(hint, unless=self._urgent):
            self._put_by(hint, self._patient if patient else self._urgent)
        # The thread looks for what waits, and for answers, after it has cleared this; a set one will be seen.
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Send what is waiting, as far as that goes in the time, and stop."""
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._line.close()

    def _put_by(self, hint: Hint, waiting: deque[Hint]) -> None:
        if len(waiting) == CAPACITY:
            _drop_oldest(waiting)
        waiting.append(hint)
        if waiting is self._urgent and not self._hurry.is_set():
            self._hurry.set()

    def _carry(self) -> None:
        while not (self._closing and not self._urgent and not self._patient):
            self._wake.wait()
            self._wake.clear()
            due = time.monotonic() + PATIENCE_SECONDS
            while (left := due - time.monotonic()) > 0 and self._hurry.wait(left) and not self._closing:
                self._hurry.clear()
                self._leave(self._urgent)
            self._leave(self._urgent)
            self._leave(self._patient)
        # A connection that is closed over answers nobody has read may take along what it was to bring.
        self._leave(self._urgent)

    def _leave(self, waiting: deque[Hint]) -> None:
        try:
            lost = self._line.send(partial(_taken, waiting))
        except Exception:
            # What is wrong in itself must not end the thread that carries all others.
            logger.exception("hints not sent")
            return
        if lost:
            causes = sorted({type(error).__name__ for _, error in lost})
            logger.warning("hints dropped", extra={"hints": len(lost), "cause": ", ".join(causes)})
            _dropped(hint for hint, _ in lost)
            if any(isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError) for _, error in lost):
                self._pause()

    def _pause(self) -> None:
        if not self._closing:
            time.sleep(BREAK_SECONDS)
            _dropped([*_taken(self._urgent), *_taken(self._patient)])


def _taken(waiting: deque[Hint]) -> list[Hint]:
    return [waiting.popleft() for _ in range(len(waiting))]


def _drop_oldest(waiting: deque[Hint]) -> None:
    try:
        _dropped([waiting[0]])
    except IndexError:
        # They have just left.
        return


def _dropped(hints: Iterable[Hint]) -> None:
    """Count what never leaves; whoever wants to know is told so."""
    for hint in hints:
        metrics.hints_dropped(1)
        if hint.lost is not None:
            hint.lost()
