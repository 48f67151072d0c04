"""One thread that calls functions when their time has come: deadlines of calls and executions."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Alarm:
    """A call that is due at a time; `cancel` forgets it."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        """Do not call, unless it is being called already."""
        self.function = None


class Alarms:
    """A heap of alarms and the thread that watches it. What is called must be short and must not block."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        threading.Thread(target=self._watch, name="alarms", daemon=True).start()

    def after(self, seconds: float, function: Callable[[], None]) -> Alarm:
        """Call a function so many seconds from now, by the monotonic clock."""
        alarm = Alarm(function)
        due = time.monotonic() + seconds
        with self._lock:
            heapq.heappush(self._heap, (due, next(self._order), alarm))
            if self._heap[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _watch(self) -> None:
        while True:
            self._ring(self._next())

    def _next(self) -> Alarm:
        with self._lock:
            while True:
                while self._heap and self._heap[0][2].function is None:
                    heapq.heappop(self._heap)
                if not self._heap:
                    self._changed.wait()
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(left)

    def _ring(self, alarm: Alarm) -> None:
        function = alarm.function
        if function is not None:
            try:
                function()
            except Exception:
                logger.exception("an alarm failed")
