"""One attempt at an execution: from its claim to its end, or to where it must stop."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection

from shared import checkpoints, db, events, executions, kinds, log, metrics, pipelines, strict_json
from shared.errors import Fenced, Invalid, LayerFailed, Stopped, StrataError, Unavailable
from shared.executions import Claim
from shared.plan import Answer, Layer, Outcome, Plan, Result, Version
from shared.settings import Settings
from worker import engine
from worker.alarms import Alarms
from worker.overtime import Overtime
from worker.providers.openai import OpenAI
from worker.records import Records
from worker.running import Run, Running
from worker.task_events import TaskEvents
from worker.threads import Threads
from worker.tools import Tools

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: Between two tries to reach Postgres, in seconds.
_AGAIN_SECONDS = 0.5


class Attempts:
    """Runs claims; everything it needs from the process is handed to it once."""

    def __init__(
        self, settings: Settings, running: Running, models: OpenAI, threads: Threads, alarms: Alarms, events: TaskEvents
    ) -> None:
        self._settings = settings
        self._running = running
        self._models = models
        self._threads = threads
        self._alarms = alarms
        self._events = events
        self.overtime = Overtime(alarms, self._end_hung)

    def run(self, claim: Claim) -> None:
        """Run an execution to its end; give it back, or leave it, where it must stop here."""
        ids = {"execution": str(claim.uuid), "attempt": claim.attempt}
        metrics.claimed(claim.queue, claim.seconds_queued)
        with log.context(**ids), self._running.entered(claim) as run:
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

    def _run_or_fail(self, run: Run) -> None:
        try:
            self._run(run)
        except (Fenced, Unavailable):
            raise
        except Invalid as error:
            # A version with a kind or a setting of a newer release than this worker's.
            logger.exception("version not understood")
            self._end(run, "failed", reason="config", error=f"this worker cannot run the version: {error}")
        except Exception:
            # The next attempt would meet the same, and ask its models again until the deadline.
            logger.exception("execution broke")
            self._end(run, "failed", reason="internal", error="an internal error, see the worker's log")

    def _run(self, run: Run) -> None:
        claim = run.claim
        # With nothing done, and of a version that is known here, it needs no look at the database.
        done: dict[str, Any] = {}
        version = pipelines.known(claim.version_id)
        if version is None or not claim.fresh:
            version, done = self._insist(run, lambda connection: _prepared(connection, claim))
        name = f"{version.handle}@{version.number}"
        started = time.monotonic()
        self._events.started(claim.uuid, name)
        events.started(claim.uuid, claim.attempt)
        logger.info("execution started", extra={"pipeline": name, "layers_done": len(done)})
        records = Records(version.plan, done, lambda result: self._record(run, result))
        try:
            outcome = self._computed(run, version.plan, done, records)
        except Stopped as stopped:
            status = self._end_stopped(run, stopped.cause)
        else:
            status = self._end_computed(run, outcome, records.held)
        self._events.ended(claim.uuid, name, status, time.monotonic() - started)
        logger.info("execution %s", status, extra={"pipeline": name, "seconds": round(time.monotonic() - started, 3)})

    def _computed(self, run: Run, plan: Plan, done: Mapping[str, Any], records: Records) -> Outcome:
        return engine.run(
            plan,
            run.claim.inputs,
            done,
            run_layer=lambda layer, values: self._layer(run, layer, values),
            record=records.add,
            spawn=self._threads.spawn,
            check=run.check_kept,
        )

    def _record(self, run: Run, result: Result) -> None:
        self._insist(run, lambda connection: checkpoints.record(connection, run.claim, result))

    def _layer(self, run: Run, layer: Layer, values: Mapping[str, Any]) -> Result:
        run.check()
        if self._running.draining.is_set():
            raise Stopped("drain")
        started = time.monotonic()
        events.layer_started(run.claim.uuid, run.claim.attempt, layer)
        tools = Tools(self._models, run, layer, started)
        try:
            with self.overtime.watched(run, layer):
                answer: Answer = kinds.kinds()[layer.kind].run(layer.settings, kinds.Scope(values), tools)
                output = strict_json.clean(answer.output)
        except LayerFailed as error:
            result = _failed(layer, started, error)
        except StrataError:
            raise
        except Exception:
            # A fault of ours in one layer is told, and costs no other property its result.
            logger.exception("layer broke", extra={"layer": layer.path})
            result = _failed(layer, started, LayerFailed("internal", "an internal error, see the worker's log"))
        else:
            result = Result(
                layer.path,
                passed=True,
                seconds=time.monotonic() - started,
                output=output,
                usage=answer.usage,
                provider_response_id=answer.provider_response_id,
                calls=answer.calls,
            )
        metrics.layer(layer.kind, passed=result.passed, seconds=result.seconds)
        return result

    def _end_computed(self, run: Run, outcome: Outcome, last: Result | None) -> str:
        if not outcome.failures:
            return self._end(run, "succeeded", output=outcome.document, last=last)
        first = next(iter(outcome.failures.values()))
        return self._end(run, "failed", reason=first.reason)

    def _end_stopped(self, run: Run, cause: str) -> str:
        if cause == "cancelled":
            return self._end(run, "cancelled", reason="cancelled", error="cancelled")
        if cause == "deadline":
            return self._end(run, "failed", reason="deadline", error="the deadline is over")
        if cause == "drain":
            claim, keep = run.claim, self._settings.result_seconds
            self._insist(
                run, lambda connection: executions.release(connection, claim.id, claim.attempt, keep_seconds=keep)
            )
            return "released"
        raise Fenced("the claim is lost")

    def _end_hung(self, run: Run, result: Result) -> None:
        if run.cause == "cancelled":
            status = self._end(run, "cancelled", reason="cancelled", error="cancelled", beside_others=True)
        else:
            status = self._end(run, "failed", reason=result.reason, last=result, beside_others=True)
        version = pipelines.known(run.claim.version_id)
        if version is not None:
            name = f"{version.handle}@{version.number}"
            self._events.ended(run.claim.uuid, name, status, time.monotonic() - run.entered_at)
        logger.info("execution %s", status)

    def _end(self, run: Run, status: str, *, beside_others: bool = False, **ending: Any) -> str:
        """End an execution, `beside_others` where its other layers may still be writing."""
        claim, keep = run.claim, self._settings.result_seconds

        def finish(connection: Connection) -> bool:
            if beside_others:
                executions.hold(connection, claim.id)
            return executions.finish(connection, claim, status, keep_seconds=keep, **ending)

        if not self._insist(run, finish, db.transaction if beside_others or claim.capped else db.autocommit):
            raise Fenced("the execution has ended, or is another attempt's")
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


def _failed(layer: Layer, started: float, error: LayerFailed) -> Result:
    return Result(
        layer.path,
        passed=False,
        seconds=time.monotonic() - started,
        error=str(error),
        reason=error.reason,
        usage=error.usage,
        calls=error.calls,
    )


def _prepared(connection: Connection, claim: Claim) -> tuple[Version, dict[str, Any]]:
    return pipelines.version(connection, claim.version_id), checkpoints.passed(connection, claim.id)
