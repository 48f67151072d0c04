"""Everything a worker process has: made after its start, closed at its end."""

import logging
import time
from uuid import uuid4

from celery import Celery

from shared import broker, db, doorbell, executions, kinds
from shared.errors import Unavailable
from shared.settings import Settings
from worker.alarms import Alarms
from worker.attempt import Attempts
from worker.health import HealthServer
from worker.heartbeat import Heartbeat
from worker.providers.openai import OpenAI
from worker.running import Running
from worker.task_events import TaskEvents
from worker.threads import Threads
from worker.upkeep import Liveness

logger = logging.getLogger(__name__)

#: One permit runs executions one after the other until there are none, or for this long; then it is put back, so
#: that the work stays even between workers.
PERMIT_SECONDS = 10.0
#: At the end of a drain, how long the runs get to write down where they stopped.
_CLOSING_SECONDS = 5.0


class Process:
    """A worker process: its claims, its threads, its lease."""

    def __init__(self, settings: Settings, app: Celery, hostname: str) -> None:
        self._settings = settings
        self.id = uuid4()
        self.running = Running()
        db.connect(settings.database_url, connections=settings.database_connections, application="strata worker")
        broker.connect(settings)
        self._alarms = Alarms()
        self._models = OpenAI(settings, self._alarms)
        self._threads = Threads(settings.worker_concurrency * 2)
        self._events = TaskEvents(app, hostname, enabled=settings.task_events)
        self._attempts = Attempts(settings, self.running, self._models, self._threads, self._alarms, self._events)
        self._heartbeat = Heartbeat(settings, self.id, self.running)
        self._liveness = Liveness(settings)
        self._cancels = doorbell.Listener(settings.redis_url, doorbell.CANCEL, self.running.cancel)
        self._health = HealthServer(settings, lambda: self._heartbeat.alive and not self.running.draining.is_set())

    def start(self) -> None:
        """Take the lease and begin the duties; waits for Postgres as long as it is away."""
        # Imported now, the first execution need not wait for it.
        kinds.kinds()
        self._health.start()
        while True:
            try:
                self._heartbeat.start()
                break
            except Unavailable:
                logger.warning("waiting for Postgres")
                time.sleep(1.0)
        self._liveness.start()

    def work(self) -> bool:
        """Run what is queued; True where there may be more after this permit's time."""
        until = time.monotonic() + PERMIT_SECONDS
        while not self.running.draining.is_set():
            try:
                with db.transaction() as connection:
                    claim = executions.claim(connection, self.id, self._settings.queues)
            except Unavailable:
                logger.warning("no claim, Postgres is away")
                return False
            if claim is None:
                return False
            self._attempts.run(claim)
            if time.monotonic() >= until:
                return True
        return False

    def drain(self) -> None:
        """Claim nothing more; layers in flight get their time, then they are closed."""
        if not self.running.draining.is_set():
            self.running.draining.set()
            logger.info("draining", extra={"running": len(self.running.all())})
            self._alarms.after(self._settings.drain_seconds, lambda: self.running.stop_all("drain"))

    def close(self) -> None:
        """Give back what still runs, and let everything go."""
        self.running.stop_all("drain")
        until = time.monotonic() + _CLOSING_SECONDS
        while self.running.all() and time.monotonic() < until:
            time.sleep(0.05)
        self._liveness.close()
        self._heartbeat.close()
        self._cancels.close()
        self._events.close()
        self._threads.close()
        self._models.close()
        self._health.close()
        broker.close()
        db.close()
