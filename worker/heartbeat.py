"""Renews this process's lease, and learns what it must stop: cancelled executions, and claims it has lost.

It also finds what Postgres says is its own and is not running here, because the answer to a claim or a finish was
lost on the way, and gives it back.
"""

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from uuid import UUID

from shared import db, executions, workers
from shared.errors import Unavailable
from shared.settings import Settings
from worker.running import Running

logger = logging.getLogger(__name__)


class Heartbeat:
    """The thread that keeps the row of this process alive."""

    def __init__(self, settings: Settings, worker: UUID, running: Running, *, slots: int) -> None:
        self._settings = settings
        self._slots = slots
        self._worker = worker
        self._running = running
        self._strangers: dict[int, int] = {}
        self._beaten_at = -math.inf
        #: How many workers lived at the last beat, this one among them.
        self.workers = 1
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat_regularly, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Enter the worker in its table, and beat from then on; Unavailable where Postgres is away."""
        self._enter()
        self._thread.start()

    def close(self) -> None:
        """Stop beating and give the lease up; what still runs is taken up by others at once."""
        self._closing.set()
        self._thread.join(5.0)
        try:
            with db.transaction() as connection:
                workers.leave(connection, self._worker)
        except Unavailable:
            logger.warning("lease left to run out, Postgres is away")

    @property
    def alive(self) -> bool:
        """True while the lease holds, as far as this process knows."""
        return time.monotonic() - self._beaten_at < self._settings.lease_seconds

    def _beat_regularly(self) -> None:
        while not self._closing.wait(self._settings.lease_seconds / 6):
            try:
                self._beat()
            except Unavailable:
                logger.warning("heartbeat missed, Postgres is away")
            except Exception:
                logger.exception("heartbeat failed")

    def _beat(self) -> None:
        asked_at = time.monotonic()
        with db.transaction() as connection:
            known = workers.renew(connection, self._worker, lease_seconds=self._settings.lease_seconds)
            owned = workers.owned(connection, self._worker)
            self.workers = max(1, workers.living(connection))
        if not known:
            self._enter()
        # The lease counts from the question: how long the answer took is time that has passed.
        self._beaten_at = asked_at
        self._stop_lost(owned, asked_at)
        self._give_back(owned)

    def _enter(self) -> None:
        with db.transaction() as connection:
            workers.enter(
                connection,
                self._worker,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._settings.queues if self._slots else (),
                slots=self._slots,
                lease_seconds=self._settings.lease_seconds,
            )
        self._beaten_at = time.monotonic()

    def _stop_lost(self, owned: Mapping[int, tuple[int, bool]], asked_at: float) -> None:
        for execution_id, run in self._running.all().items():
            attempt, stop = owned.get(execution_id, (None, False))
            if attempt == run.claim.attempt and stop:
                run.stop("cancelled")
            elif attempt != run.claim.attempt and run.entered_at < asked_at:
                # Its claim was committed before the rows were read, so they would show it if it were still ours.
                run.stop("lost")

    def _give_back(self, owned: Mapping[int, tuple[int, bool]]) -> None:
        """Release what is owned and not running here in two beats: in one, its claim may just be on its way."""
        here = self._running.all()
        strangers = {each: attempt for each, (attempt, _) in owned.items() if each not in here}
        for execution_id, attempt in strangers.items():
            if self._strangers.get(execution_id) == attempt:
                with db.transaction() as connection:
                    executions.release(connection, execution_id, attempt, keep_seconds=self._settings.result_seconds)
                logger.warning("stranded execution given back", extra={"execution_id": execution_id})
        self._strangers = strangers
