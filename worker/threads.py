"""Threads for what an execution does at once; who finds none free does the work itself."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore

logger = logging.getLogger(__name__)


class Threads:
    """A pool without a queue: it takes work only while it has a thread for it."""

    def __init__(self, size: int) -> None:
        self._free = BoundedSemaphore(size)
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="fan-out")

    def spawn(self, work: Callable[[], None]) -> bool:
        """Run work on another thread, with this thread's log context; False where none is free."""
        if not self._free.acquire(blocking=False):
            return False
        self._pool.submit(copy_context().run, self._run, work)
        return True

    def close(self) -> None:
        """Let the threads go once they are done."""
        self._pool.shutdown(wait=False)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # The engine has kept the error and raises it where the run was asked for.
            logger.debug("a fan-out thread stopped early")
        finally:
            self._free.release()
