"""Executions that two workers have died with run alone, in a process of their own.

So neighbours neither die with them nor are counted for them; the process has its own lease, and when it dies its
execution is taken from it at once.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from uuid import UUID, uuid4

from shared import db, executions, log, workers
from shared.errors import Unavailable
from shared.executions import Claim
from shared.settings import Settings
from worker.running import Running

logger = logging.getLogger(__name__)

#: Suspects that one worker has running at once.
PLACES = 2
#: Seconds that a suspect's process gets to start, for which its lease is renewed here; it imports all of the worker.
START_SECONDS = 30.0


class Quarantine:
    """Starts `python -m worker.alone` for a suspect, and waits for its end."""

    def __init__(self, settings: Settings, hostname: str, running: Running) -> None:
        self._settings = settings
        self._hostname = hostname
        self._running = running
        self._places = threading.BoundedSemaphore(PLACES)

    def wants(self, claim: Claim) -> bool:
        """True for an execution that must not run beside others."""
        return claim.deaths >= workers.SUSPECT_DEATHS

    def run(self, claim: Claim) -> None:
        """Run a suspect alone; returns when its process has ended, whatever became of it."""
        with log.context(execution=str(claim.uuid), attempt=claim.attempt), self._running.entered(claim):
            worker = uuid4()
            try:
                if self._set_apart(claim, worker) and self._has_place(claim, worker):
                    try:
                        self._run_alone(claim, worker)
                    finally:
                        self._places.release()
            except Unavailable:
                logger.warning("suspect left, Postgres is away")

    def _set_apart(self, claim: Claim, worker: UUID) -> bool:
        """Give a suspect to a worker id of its own before anything else: the end of this process is no death of it."""
        with db.transaction() as connection:
            workers.enter(
                connection,
                worker,
                host=os.uname().nodename,
                pid=workers.NOT_STARTED,
                queues=(),
                slots=0,
                lease_seconds=self._settings.lease_seconds,
            )
            return executions.hand_over(connection, claim, worker)

    def _has_place(self, claim: Claim, worker: UUID) -> bool:
        """Wait for a place; False where the process is told to stop first."""
        while not self._places.acquire(timeout=0.5):
            if self._running.draining.is_set():
                self._give_back(claim)
                return False
            self._keep_apart(worker)
        return True

    def _keep_apart(self, worker: UUID) -> None:
        """Renew the lease of a process that is still to start; from its start on it does that itself."""
        with db.transaction() as connection:
            workers.renew_unstarted(connection, worker, lease_seconds=self._settings.lease_seconds)

    def _run_alone(self, claim: Claim, worker: UUID) -> None:
        logger.warning("suspect runs alone", extra={"deaths": claim.deaths})
        process = subprocess.Popen([sys.executable, "-m", "worker.alone", str(worker), self._hostname])
        self._wait(process, worker)
        self._end_lease(worker)

    def _wait(self, process: subprocess.Popen[bytes], worker: UUID) -> None:
        begun, told = time.monotonic(), False
        while True:
            try:
                code = process.wait(min(0.5, self._settings.lease_seconds / 6))
            except subprocess.TimeoutExpired:
                if time.monotonic() < begun + START_SECONDS:
                    with suppress(Unavailable):
                        self._keep_apart(worker)
                if self._running.draining.is_set() and not told:
                    process.send_signal(signal.SIGTERM)
                    told = True
                continue
            logger.info("suspect's process ended", extra={"exit": code})
            return

    def _end_lease(self, worker: UUID) -> None:
        with db.transaction() as connection:
            workers.leave(connection, worker)

    def _give_back(self, claim: Claim) -> None:
        try:
            with db.transaction() as connection:
                executions.release(connection, claim.id, claim.attempt, keep_seconds=self._settings.result_seconds)
        except Unavailable:
            logger.warning("suspect left, Postgres is away")
