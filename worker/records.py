"""When a result is written: before anything uses it, and the very last together with the end."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from shared.plan import Plan, Result


class Records:
    """Writes each result before anything uses it, but the very last: nothing does, and it goes with the end."""

    def __init__(self, plan: Plan, done: Mapping[str, Any], write: Callable[[Result], None]) -> None:
        self.held: Result | None = None
        self._left = sum(layer.path not in done for each in plan.properties for layer in each.layers)
        self._passed = True
        self._write = write
        self._lock = threading.Lock()

    def add(self, result: Result) -> None:
        """Write a result, or hold it back as the last one of a run in which every layer has passed."""
        with self._lock:
            self._left -= 1
            self._passed = self._passed and result.passed
            last = self._left == 0 and self._passed
        if last:
            self.held = result
        else:
            self._write(result)
