"""How much an organization, or one of its keys, has waiting: counted in Postgres, but not at every request.

A count is used for a second and what this process lets in is added to it. Where that seems too much it is counted
again, so a single process never lets in more than the limit; several may, by what they let in within the second.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from shared import db, queues

#: How long a count is used while there is room, and while there is none, in seconds.
FRESH_SECONDS = 1.0
FULL_SECONDS = 0.1
#: What was let in so lately may not be committed yet, and is added to a count; in seconds.
LATELY_SECONDS = 0.5
#: Who waits longer than this for another thread's count is let in: Postgres is in trouble and will say so itself.
PATIENCE_SECONDS = 1.0
#: Counts kept; beyond that all are forgotten and made again.
_KEPT = 10_000


class Depths:
    """The counts of one API process."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int | None], _Count] = {}
        self._lock = threading.Lock()

    def admit(self, organization_id: int, key_id: int | None, limit: int, count: int = 1) -> bool:
        """Count one more or several, of a key where one is given; False where they are beyond the limit."""
        with self._lock:
            if len(self._counts) >= _KEPT:
                self._counts.clear()
            known = self._counts.setdefault((organization_id, key_id), _Count())
        if not known.lock.acquire(timeout=PATIENCE_SECONDS):
            return True
        try:
            if not known.holds(limit - count):
                known.renew(lambda: _counted(organization_id, key_id, limit))
            return known.more(limit, count)
        finally:
            known.lock.release()


class _Count:
    """How many of somebody wait, as of a moment ago."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._waiting = 0
        self._counted_at = -math.inf
        # When how many were let in.
        self._lately: deque[tuple[float, int]] = deque(maxlen=10_000)

    def holds(self, most: int) -> bool:
        age = time.monotonic() - self._counted_at
        return age < (FRESH_SECONDS if self._waiting <= most else FULL_SECONDS)

    def renew(self, count: Callable[[], int]) -> None:
        asked_at = time.monotonic()
        while self._lately and self._lately[0][0] < asked_at - LATELY_SECONDS:
            self._lately.popleft()
        self._waiting = count() + sum(number for _, number in self._lately)
        self._counted_at = asked_at

    def more(self, limit: int, count: int) -> bool:
        if self._waiting + count > limit:
            return False
        self._waiting += count
        self._lately.append((time.monotonic(), count))
        return True


def _counted(organization_id: int, key_id: int | None, limit: int) -> int:
    with db.autocommit() as connection:
        return queues.depth(connection, organization_id, key_id=key_id, at_most=limit)
