"""The one way from a process to Redis that must never block it: a background thread with a bounded queue.

Everything that leaves here is a hint (a permit, a ring): when Redis is slow or away it is dropped, and the sweeps and
the waiters' own looks at Postgres make up for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import redis

from shared import metrics

logger = logging.getLogger(__name__)

#: How long one send may take, in seconds.
TIMEOUT_SECONDS = 0.3
#: After a failure nothing is sent for this long, in seconds.
BREAK_SECONDS = 1.0
#: Hints waiting beyond this are dropped, the oldest first.
CAPACITY = 10_000
#: A patient hint waits for company for this long, in seconds: a round trip costs ten times what a hint in it costs.
PATIENCE_SECONDS = 0.02

Hint = Callable[["redis.client.Pipeline"], Any]


class Courier:
    """Sends hints in the background, all that are waiting in one round trip; patient ones do not hold up the others."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            health_check_interval=10,
        )
        self._urgent: deque[Hint] = deque(maxlen=CAPACITY)
        self._patient: deque[Hint] = deque(maxlen=CAPACITY)
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._carry, name="hints", daemon=True)
        self._thread.start()

    def send(self, hint: Hint, *, patient: bool = False) -> None:
        """Queue a hint; returns at once, whatever Redis does. A patient one leaves a moment later, with others."""
        waiting = self._patient if patient else self._urgent
        if len(waiting) == CAPACITY:
            _drop_oldest(waiting)
        waiting.append(hint)
        if not (patient or self._hurry.is_set()):
            self._hurry.set()
        # The thread takes what waits after it has cleared these; a set one will be seen.
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Send what is waiting, as far as that goes in the time, and stop."""
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        self._redis.close()

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

    def _leave(self, waiting: deque[Hint]) -> None:
        hints = _taken(waiting)
        if hints and not self._sent(hints) and not self._closing:
            time.sleep(BREAK_SECONDS)
            _dropped([*_taken(self._urgent), *_taken(self._patient)])

    def _sent(self, hints: list[Hint]) -> bool:
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for hint in hints:
                    hint(pipeline)
                pipeline.execute()
        except (redis.RedisError, OSError) as error:
            _dropped(hints)
            logger.warning("hints dropped", extra={"hints": len(hints), "cause": type(error).__name__})
            return False
        except Exception:
            # A hint that is wrong in itself must not end the thread that carries all others.
            _dropped(hints)
            logger.exception("hints dropped")
        return True


def _taken(waiting: deque[Hint]) -> list[Hint]:
    return [waiting.popleft() for _ in range(len(waiting))]


def _drop_oldest(waiting: deque[Hint]) -> None:
    try:
        _dropped([waiting[0]])
    except IndexError:
        # They have just left.
        return


def _dropped(hints: list[Hint]) -> None:
    """Count what never leaves; a hint that has a `lost` is told so."""
    metrics.hints_dropped(len(hints))
    for hint in hints:
        if (lost := getattr(hint, "lost", None)) is not None:
            lost()
