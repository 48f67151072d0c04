"""Watches whether this worker gets on with its work; one that lives and takes none says so, and is started anew.

Broken is what the worker leaves undone, whatever the cause: the same executions stand at the heads of its queues while
it has slots free and claims nothing. Others that are faster change the heads, so they raise no alarm.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Hashable

import redis
from prometheus_client import Gauge

from shared import db, queues
from shared.errors import Unavailable
from shared.settings import Settings
from worker.overtime import Overtime
from worker.running import Running

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_stalled = Gauge("strata_worker_stalled", "1 while this worker leaves work undone that it could do")


class Undone:
    """Since when the same heads of queues have been seen at every look, by a worker that could have taken them."""

    def __init__(self, *, gap_seconds: float) -> None:
        self._gap_seconds = gap_seconds
        self._since: dict[Hashable, float] = {}
        self._claims = 0
        self._looked_at = -math.inf

    def seconds(self, heads: Collection[Hashable], *, claims: int, free: int, now: float) -> float:
        """For how long the oldest of these heads has stood there; `claims` counts those of this worker so far."""
        # After a freeze nobody knows what was there meanwhile.
        if claims != self._claims or free <= 0 or now - self._looked_at > self._gap_seconds:
            self.forget()
        self._claims, self._looked_at = claims, now
        self._since = {head: self._since.get(head, now) for head in heads}
        return now - min(self._since.values(), default=now)

    def forget(self) -> None:
        """Begin anew."""
        self._since = {}


class Progress:
    """The thread that looks; `restart` is called once, where a fresh process would help."""

    def __init__(
        self,
        settings: Settings,
        running: Running,
        overtime: Overtime,
        restart: Callable[[], None] | None,
        *,
        busy: Callable[[], int] = int,
    ) -> None:
        self.claims = 0
        self.trouble: str | None = None
        self._settings = settings
        self._running = running
        self._overtime = overtime
        self._restart = restart
        self._busy = busy
        self._undone = Undone(gap_seconds=settings.stall_seconds + 5 * LOOK_SECONDS)
        self._answered_since: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look_regularly, name="progress", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _look_regularly(self) -> None:
        while not self._closing.wait(LOOK_SECONDS) and not self._running.draining.is_set():
            try:
                self._look()
            except Unavailable:
                # Nobody gets on without Postgres.
                self._undone.forget()
                self._tell(None)
            except Exception:
                logger.exception("look failed")

    def _look(self) -> None:
        longest = self._settings.stall_seconds
        hanging = self._overtime.seconds()
        if hanging > longest:
            self._tell(f"a layer has been hanging for {hanging:.0f} s")
            self._start_anew()
            return
        with db.autocommit() as connection:
            heads = queues.heads(connection, self._settings.queues)
        free = self._settings.worker_concurrency - len(self._running.all()) - self._busy()
        undone = self._undone.seconds(heads, claims=self.claims, free=free, now=time.monotonic())
        if undone < longest:
            self._tell(None)
            return
        self._tell(f"work has been waiting for {undone:.0f} s and is not taken, with {free} slots free")
        if self._broker_has_answered() > longest:
            self._start_anew()

    def _tell(self, trouble: str | None) -> None:
        if trouble is None:
            self._answered_since = None
        if (trouble is None) != (self.trouble is None):
            logger.log(logging.INFO if trouble is None else logging.ERROR, "worker %s", trouble or "gets on again")
        self.trouble = trouble
        _stalled.set(trouble is not None)

    def _broker_has_answered(self) -> float:
        """For how long each fresh connection to the broker has worked: only then the fault is this process's."""
        try:
            with redis.Redis.from_url(
                self._settings.redis_url, socket_timeout=1, socket_connect_timeout=1, retry=None
            ) as client:
                client.ping()
        except (redis.RedisError, OSError):
            self._answered_since = None
            return 0.0
        now = time.monotonic()
        if self._answered_since is None:
            self._answered_since = now
        return now - self._answered_since

    def _start_anew(self) -> None:
        if self._restart is not None:
            logger.error("worker starts anew", extra={"running": len(self._running.all())})
            self._restart()
            self._closing.set()
