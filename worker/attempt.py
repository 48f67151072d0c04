"""One attempt at an execution: from its claim to its end, or to where it must stop."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from shared import checkpoints, db, events, executions, log, memory, metrics, pipelines, variables
from shared.checkpoints import Past
from shared.errors import Fenced, Invalid, Parked, SealBroken, Stopped, Unavailable
from shared.executions import Claim
from shared.ledger import Intent
from shared.order import DEFAULT_CHANNEL
from shared.outside import History
from shared.plan import Outcome, Result, Version
from shared.sealing import Sealer
from shared.settings import Settings
from worker.alarms import Alarms
from worker.computation import Computation, Workshop
from worker.fetching import Fetcher
from worker.meanings import Meanings
from worker.overtime import Overtime
from worker.providers.models import Models
from worker.remotes import Remotes
from worker.running import Run, Running
from worker.searching import Searcher
from worker.task_events import TaskEvents
from worker.threads import Threads

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: Between two tries to reach Postgres, in seconds.
_AGAIN_SECONDS = 0.5


class Attempts:
    """Runs claims; everything it needs from the process is handed to it once."""

    def __init__(
        self,
        settings: Settings,
        running: Running,
        models: Models,
        threads: Threads,
        alarms: Alarms,
        events: TaskEvents,
        sealer: Sealer,
    ) -> None:
        self._settings = settings
        self._sealer = sealer
        self._running = running
        self._alarms = alarms
        self._events = events
        self.overtime = Overtime(alarms, self._end_hung)
        fetcher = Fetcher(settings.allowed_networks, alarms)
        remotes = Remotes(settings.allowed_networks, alarms)
        self._workshop = Workshop(
            running, models, fetcher, remotes, Searcher(Meanings(models.embeddings)), threads, self.overtime
        )

    def run(self, claim: Claim) -> None:
        """Run an execution to its end; give it back, or leave it, where it must stop here."""
        ids = {"execution": str(claim.uuid), "attempt": claim.attempt}
        metrics.claimed(claim.queue, claim.seconds_queued)
        with log.context(**ids), self._running.entered(claim) as run, log.hiding(run.hide):
            alarm = self._alarms.after(claim.seconds_left, lambda: run.stop("deadline"))
            try:
                self._run_or_fail(run)
            except Fenced:
                metrics.claim_lost()
                logger.warning("claim lost")
            except Unavailable:
                # The heartbeat finds it owned and not running here, and gives it back.
                logger.warning("execution left, Postgres is away")
            finally:
                alarm.cancel()
                _settle(run)

    def _run_or_fail(self, run: Run) -> None:
        try:
            self._run(run)
        except (Fenced, Unavailable):
            raise
        except Invalid as error:
            # A version with a kind or a setting of a newer release than this worker's.
            logger.exception("version not understood")
            self._end(run, "failed", reason="config", error=f"this worker cannot run the version: {error}")
        except SealBroken as error:
            logger.exception("variables not opened")
            self._end(run, "failed", reason="config", error=f"the variables cannot be opened here: {error}")
        except Exception:
            # The next attempt would meet the same, and ask its models again until the deadline.
            logger.exception("execution broke")
            self._end(run, "failed", reason="internal", error="an internal error, see the worker's log")

    def _run(self, run: Run) -> None:
        claim = run.claim
        run.reveal(variables.opened(claim.variables, claim.uuid, self._sealer).values)
        # With nothing done, and of a version that is known here, it needs no look at the database.
        past = Past()
        version = pipelines.known(claim.version_id)
        if version is None or not claim.fresh:
            version, past = self._insist(run, lambda connection: _prepared(connection, claim))
        name = f"{version.handle}@{version.number}"
        started = time.monotonic()
        self._events.started(claim.uuid, name)
        events.started(claim.uuid, claim.attempt)
        logger.info("execution started", extra={"pipeline": name, "layers_done": len(past.done)})
        computation = Computation(
            self._workshop,
            run,
            past,
            write=partial(self._record, run),
            version=lambda version_id: self._version(run, version_id),
            history=lambda channel, tokens: self._history(run, channel, tokens),
        )
        try:
            outcome = computation.outcome(version.plan)
        except Stopped as stopped:
            status = self._end_stopped(run, stopped.cause)
        except Parked as parked:
            status = self._park(run, parked.seconds)
        else:
            status = self._end_computed(run, outcome, computation.held)
        self._events.ended(claim.uuid, name, status, time.monotonic() - started)
        logger.info("execution %s", status, extra={"pipeline": name, "seconds": round(time.monotonic() - started, 3)})

    def _record(self, run: Run, result: Result, intent: Intent | None = None, *, patient: bool = True) -> None:
        def record(connection: Connection) -> None:
            checkpoints.record(connection, run.claim, result, intent)

        if patient:
            self._insist(run, record)
        else:
            with db.autocommit() as connection:
                record(connection)
        run.books.recorded(result.calls)

    def _version(self, run: Run, version_id: int) -> Version:
        known = pipelines.known(version_id)
        return known or self._insist(run, lambda connection: pipelines.version(connection, version_id))

    def _history(self, run: Run, channel: str | None, tokens: int) -> History:
        claim = run.claim
        if claim.thread_id is None:
            return History()
        on, until = channel or claim.channel or DEFAULT_CHANNEL, claim.history_until or 0
        return self._insist(
            run, partial(memory.read, thread_id=claim.thread_id, channel=on, until=until, tokens=tokens)
        )

    def _park(self, run: Run, seconds: float) -> str:
        """Give the slot back until the provider has a budget again."""
        claim, keep = run.claim, self._settings.result_seconds

        def park(connection: Connection) -> bool:
            run.books.settle(connection)
            return executions.park(connection, claim, seconds, keep_seconds=keep)

        if not self._insist(run, park, db.transaction if claim.makes_room else db.autocommit):
            raise Fenced("the execution has ended, or is another attempt's")
        return "parked"

    def _end_computed(self, run: Run, outcome: Outcome, last: Result | None) -> str:
        if not outcome.failures:
            if run.telling.conversation is not None:
                run.telling.conversation.settle(outcome.document)
            return self._end(run, "succeeded", output=outcome.document, last=last)
        first = next(iter(outcome.failures.values()))
        return self._end(run, "failed", reason=first.reason, message=first.error)

    def _end_stopped(self, run: Run, cause: str) -> str:
        if cause == "cancelled":
            return self._end(run, "cancelled", reason="cancelled", error="cancelled")
        if cause == "deadline":
            return self._end(run, "failed", reason="deadline", error="the deadline is over")
        if cause == "drain":
            return self._release(run)
        raise Fenced("the claim is lost")

    def _release(self, run: Run) -> str:
        claim, keep = run.claim, self._settings.result_seconds

        def release(connection: Connection) -> None:
            run.books.settle(connection)
            executions.release(connection, claim.id, claim.attempt, keep_seconds=keep)

        self._insist(run, release)
        return "released"

    def _end_hung(self, run: Run, result: Result) -> None:
        run.books.carried.write_all()
        if run.cause == "cancelled":
            status = self._end(run, "cancelled", reason="cancelled", error="cancelled", beside_others=True)
        else:
            status = self._end(run, "failed", reason=result.reason, last=result, beside_others=True)
        version = pipelines.known(run.claim.version_id)
        if version is not None:
            name = f"{version.handle}@{version.number}"
            self._events.ended(run.claim.uuid, name, status, time.monotonic() - run.entered_at)
        logger.info("execution %s", status)

    def _end(
        self, run: Run, status: str, *, beside_others: bool = False, last: Result | None = None, **ending: Any
    ) -> str:
        """End an execution, `beside_others` where its other layers may still be writing."""
        claim, keep = run.claim, self._settings.result_seconds

        def finish(connection: Connection) -> bool:
            if beside_others:
                executions.hold(connection, claim.id)
            run.books.settle(connection, but=last.calls if last else (), ended=True)
            return executions.finish(connection, claim, status, keep_seconds=keep, last=last, **ending)

        if not self._insist(run, finish, db.transaction if beside_others or claim.makes_room else db.autocommit):
            raise Fenced("the execution has ended, or is another attempt's")
        run.books.recorded(last.calls if last else ())
        return status

    def _insist(
        self,
        run: Run,
        write: Callable[[Connection], T],
        opened: Callable[[], AbstractContextManager[Connection]] = db.autocommit,
    ) -> T:
        """Write, again and again while Postgres is away: what has been paid for is held until it can be written.

        That is until the execution's deadline, however long its lease: nobody takes over before Postgres has been up
        for a lease, and the owners renew first. A process that ends, or has lost the claim, waits for a lease at most.
        """
        begun = time.monotonic()
        while True:
            try:
                with opened() as connection:
                    return write(connection)
            except Unavailable:
                until = begun + self._settings.lease_seconds
                if run.cause not in ("drain", "lost"):
                    until = max(until, run.deadline_at)
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_SECONDS)


def _settle(run: Run) -> None:
    """Book what it has sent and nobody has recorded; what cannot be written now a sweep finds by its intents."""
    if run.books.unsettled:
        with suppress(Unavailable), db.autocommit() as connection:
            run.books.settle(connection)


def _prepared(connection: Connection, claim: Claim) -> tuple[Version, Past]:
    return pipelines.version(connection, claim.version_id), checkpoints.past(connection, claim.id)
