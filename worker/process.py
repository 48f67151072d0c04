"""A worker process: claims while it has permits, keeps accepted work going, answers probes."""

import logging
import time
from uuid import uuid4

from celery import Celery

from shared import db, executions
from shared.errors import Unavailable
from shared.executions import Claim
from shared.settings import Settings
from worker.health import HealthServer
from worker.quarantine import Quarantine
from worker.runtime import Runtime
from worker.upkeep import Liveness

logger = logging.getLogger(__name__)

#: One permit runs executions one after the other until there are none, or for this long; then it is put back, so
#: that the work stays even between workers.
PERMIT_SECONDS = 10.0


class Process:
    """Everything that a Celery worker starts and stops."""

    def __init__(self, settings: Settings, app: Celery, hostname: str) -> None:
        self._settings = settings
        self.id = uuid4()
        self._runtime = Runtime(settings, self.id, app, hostname, slots=settings.worker_concurrency)
        self.running = self._runtime.running
        self._quarantine = Quarantine(settings, hostname, self.running)
        self._liveness = Liveness(settings)
        self._health = HealthServer(settings, lambda: self._runtime.ready)

    def start(self) -> None:
        """Take the lease and begin the duties; waits for Postgres as long as it is away."""
        self._health.start()
        self._runtime.start()
        self._liveness.start()

    def work(self) -> bool:
        """Run what is queued; True where there may be more after this permit's time."""
        until = time.monotonic() + PERMIT_SECONDS
        while not self.running.draining.is_set():
            claim = self._claimed()
            if claim is None:
                return False
            if self._quarantine.wants(claim):
                self._quarantine.run(claim)
            else:
                self._runtime.run(claim)
            if time.monotonic() >= until:
                return True
        return False

    def drain(self) -> None:
        """Claim nothing more; layers in flight get their time, then they are closed."""
        self._runtime.drain()

    def close(self) -> None:
        """Give back what still runs, and let everything go."""
        self._liveness.close()
        self._runtime.close()
        self._health.close()

    def _claimed(self) -> Claim | None:
        try:
            with db.autocommit() as connection:
                return executions.claim(connection, self.id, self._settings.queues)
        except Unavailable:
            logger.warning("no claim, Postgres is away")
            return None
