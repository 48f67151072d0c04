"""How many streams each organization has open in this process, and no more than it may have."""

import threading
from collections import Counter
from collections.abc import Callable

from shared.errors import TooMany

#: When to come again where too many are open, in seconds.
RETRY_SECONDS = 5


class OpenStreams:
    """Counts what is open; used by all threads of a process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[int] = Counter()
        self._lock = threading.Lock()

    def enter(self, organization_id: int) -> Callable[[], None]:
        """Count one more and return what counts it off again, once; TooMany beyond the limit."""
        with self._lock:
            if self._limit and self._open[organization_id] >= self._limit:
                raise TooMany(f"{self._limit} streams of this organization are open already", RETRY_SECONDS)
            self._open[organization_id] += 1
        left = threading.Lock()

        def leave() -> None:
            if left.acquire(blocking=False):
                with self._lock:
                    self._open[organization_id] -= 1
                    if not self._open[organization_id]:
                        del self._open[organization_id]

        return leave
