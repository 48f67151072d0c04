"""So many seats, each taken by one at a time; the semaphores of `threading` are Python code, five times as slow."""

from queue import Empty, SimpleQueue


class Seats:
    """Seats that threads take and give back."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    def take(self, seconds: float = 0.0) -> bool:
        """Take one, after a wait of so many seconds at most; False where none was free."""
        try:
            self._free.get(timeout=seconds)
        except Empty:
            return False
        return True

    def give_back(self) -> None:
        """Give one back that was taken."""
        self._free.put(None)
