"""What every process that runs executions has: connections, models, threads, and a lease that it keeps alive."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from celery import Celery

from shared import broker, db, doorbell, executions, kinds
from shared.errors import Unavailable
from shared.executions import Claim
from shared.sealing import Sealer
from shared.settings import Settings
from worker.alarms import Alarms
from worker.attempt import Attempts
from worker.heartbeat import Heartbeat
from worker.providers.credentials import Credentials, sealed
from worker.providers.embeddings import Embeddings
from worker.providers.models import Models
from worker.providers.pacing import Pacing
from worker.running import Running
from worker.task_events import TaskEvents
from worker.threads import Threads

logger = logging.getLogger(__name__)

#: At the end of a drain, how long the runs get to write down where they stopped, in seconds.
_CLOSING_SECONDS = 5.0


class Runtime:
    """Runs claims for one worker id; made after the fork, started once, closed at the end."""

    def __init__(self, settings: Settings, worker: UUID, app: Celery, hostname: str, *, slots: int) -> None:
        self._settings = settings
        self.running = Running()
        db.connect(settings.database_url, connections=settings.database_connections, application="strata worker")
        broker.connect(settings)
        self.alarms = Alarms()
        sealer = Sealer(settings.secret_keys)
        credentials = Credentials(sealed(sealer))
        self._pacing = Pacing(settings.redis_url, share=lambda: 1 / self._heartbeat.workers, recall=_recall)
        self._models = Models(settings, self.alarms, credentials, self._pacing)
        self._threads = Threads(settings.worker_concurrency * 2)
        self._events = TaskEvents(app, hostname, enabled=settings.task_events)
        self._attempts = Attempts(
            settings, self.running, self._models, self._threads, self.alarms, self._events, sealer
        )
        self.overtime = self._attempts.overtime
        self._heartbeat = Heartbeat(settings, worker, self.running, slots=slots)
        self._cancels = doorbell.Listener(settings.redis_url, doorbell.CANCEL, self.running.cancel)

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors."""
        return self._models.embeddings

    @property
    def trouble(self) -> str | None:
        """Why it takes no work, None while the lease holds and nothing has asked for an end."""
        if self.running.draining.is_set():
            return "it is being stopped"
        return None if self._heartbeat.alive else "its lease is over, Postgres cannot be reached"

    def start(self) -> None:
        """Take the lease; waits for Postgres as long as it is away."""
        # Imported now, the first execution need not wait for it.
        kinds.kinds()
        while True:
            try:
                self._heartbeat.start()
                return
            except Unavailable:
                logger.warning("waiting for Postgres")
                time.sleep(1.0)

    def run(self, claim: Claim) -> None:
        """Run a claim to its end, or to where it must stop."""
        self._attempts.run(claim)

    def drain(self) -> None:
        """Begin nothing more; layers in flight get their time, then they are closed."""
        if not self.running.draining.is_set():
            self.running.draining.set()
            logger.info("draining", extra={"running": len(self.running.all())})
            self.alarms.after(self._settings.drain_seconds, lambda: self.running.stop_all("drain"))

    def close(self) -> None:
        """Give back what still runs, and let everything go."""
        self.running.stop_all("drain")
        until = time.monotonic() + _CLOSING_SECONDS
        while any(not run.abandoned for run in self.running.all().values()) and time.monotonic() < until:
            time.sleep(0.05)
        self._heartbeat.close()
        self._cancels.close()
        self._events.close()
        self._threads.close()
        self._models.close()
        self._pacing.close()
        broker.close()
        db.close()


def _recall(uuids: Sequence[str]) -> set[str]:
    """Let executions come back early, there is room for their calls; returns those that are parked."""
    with db.autocommit() as connection:
        return {str(each) for each in executions.recall(connection, [UUID(each) for each in uuids])}
