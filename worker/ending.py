"""The end of a worker process: what hangs does not keep it from ending, and it may begin anew in its own place."""

import logging
import os
import sys
import threading
import time

from worker.process import Process

logger = logging.getLogger(__name__)

#: Seconds that Celery gets beyond the drain to come to its own end.
_GRACE_SECONDS = 3.0


class Ending:
    """Drains and closes the process; where Celery does not get there, because a thread hangs, from another thread."""

    def __init__(self, process: Process, *, drain_seconds: float) -> None:
        self._process = process
        self._seconds = drain_seconds + _GRACE_SECONDS
        self._again = False
        self._begun = False
        self._closing = threading.Lock()

    def begin(self, *, again: bool = False) -> None:
        """Drain; `again` starts the process anew afterwards. Who is told to stop meanwhile stops."""
        self._again = again and not self._begun
        self._process.drain()
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._insist, name="ending", daemon=True).start()

    def finish(self) -> None:
        """Close, and start anew where that was asked for; returns where the process may end by itself."""
        with self._closing:
            self._process.close()
            if self._again:
                self._start_anew()
            if self._process.hangs:
                # A thread that hangs would be waited for at the exit.
                _leave()

    def _insist(self) -> None:
        time.sleep(self._seconds)
        logger.warning("worker ends with threads that hang")
        self.finish()
        _leave()

    def _start_anew(self) -> None:
        # Python opens files and sockets so that a new program does not inherit them; pid, arguments and environment
        # stay, so that whoever supervises this process notices nothing.
        logger.warning("worker begins anew")
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
