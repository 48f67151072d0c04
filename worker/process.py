"""A worker process: claims while it has permits, keeps accepted work going, answers probes."""

import logging
import time
from collections.abc import Callable
from uuid import uuid4

from celery import Celery

from shared import db, executions
from shared.errors import Unavailable
from shared.executions import Claim
from shared.liveness import Liveness, duties_of
from shared.order import QUEUES
from shared.settings import Settings
from worker.delivery import Delivery
from worker.errands import Errands
from worker.health import HealthServer
from worker.processing import Processing
from worker.progress import Progress
from worker.quarantine import Quarantine
from worker.runtime import Runtime
from worker.vectors import DocumentVectors

logger = logging.getLogger(__name__)

#: One permit runs executions one after the other until none is left behind, or for this long; then it is put back, so
#: that the work stays even between workers.
PERMIT_SECONDS = 10.0


class Process:
    """Everything that a Celery worker starts and stops."""

    def __init__(
        self, settings: Settings, app: Celery, hostname: str, *, restart: Callable[[], None] | None = None
    ) -> None:
        self._settings = settings
        self.id = uuid4()
        self._runtime = Runtime(settings, self.id, app, hostname, slots=settings.worker_concurrency)
        self.running = self._runtime.running
        self._quarantine = Quarantine(settings, hostname, self.running)
        self._queues = tuple(each for each in settings.queues if each in QUEUES)
        self.errands = Errands(
            [Delivery(settings, self.id, self._runtime.alarms), Processing(DocumentVectors(self._runtime.embeddings))],
            slots=settings.worker_concurrency,
            alone=not self._queues,
        )
        self._liveness = Liveness(duties_of(settings, self.errands.backlogs))
        self._progress = Progress(settings, self.running, self._runtime.overtime, restart, busy=self.errands.busy)
        self._health = HealthServer(settings, lambda: self._runtime.trouble or self._progress.trouble)
        self._closed = False

    def start(self) -> None:
        """Take the lease and begin the duties; waits for Postgres as long as it is away."""
        self._health.start()
        self._runtime.start()
        self._liveness.start()
        self._progress.start()

    def work(self, queue: str | None = None) -> bool:
        """Do what is due in a queue of errands, else run what is queued; True where more may be after this time."""
        if queue in self.errands.kinds:
            return self.errands.work(queue, seconds=PERMIT_SECONDS, draining=self.running.draining)
        until = time.monotonic() + PERMIT_SECONDS
        while not self.running.draining.is_set():
            claim = self._claimed()
            if claim is None:
                return False
            self._progress.claims += 1
            if self._quarantine.wants(claim):
                self._quarantine.run(claim)
            else:
                self._runtime.run(claim)
            if not (claim.followed or claim.makes_room):
                # Whoever came since has brought a permit.
                return False
            if time.monotonic() >= until:
                return True
        return False

    def drain(self) -> None:
        """Claim nothing more; layers in flight get their time, then they are closed."""
        self._runtime.drain()

    def close(self) -> None:
        """Give back what still runs, and let everything go; the second time, nothing."""
        if self._closed:
            return
        self._closed = True
        self._progress.close()
        self._liveness.close()
        self.errands.close()
        self._runtime.close()
        self._health.close()

    @property
    def hangs(self) -> bool:
        """True while a thread does not come back from a layer."""
        return self._runtime.overtime.seconds() > 0

    def _claimed(self) -> Claim | None:
        try:
            while not self.running.draining.is_set():
                with db.autocommit() as connection:
                    found = executions.claim(connection, self.id, self._queues)
                if not isinstance(found, int):
                    return found
                with db.transaction() as connection:
                    taken = executions.claim_capped(connection, self.id, found)
                if taken is not None:
                    return taken
        except Unavailable:
            logger.warning("no claim, Postgres is away")
        return None
