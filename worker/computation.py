"""The layers of one claimed execution, as far as they can be computed here and now."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared import events, inputs, kinds, metrics, strict_json
from shared.checkpoints import PARKED, Past
from shared.errors import Fault, LayerFailed, Parked, Stopped, StrataError
from shared.plan import SKIPPED, Answer, Layer, Outcome, Plan, Reference, Result, Version
from worker import engine
from worker.fetching import Fetcher
from worker.overtime import Overtime
from worker.providers.models import Models
from worker.running import Run, Running
from worker.steps import Host, Inner, failure
from worker.threads import Threads
from worker.tools import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a process has for all of its computations."""

    running: Running
    models: Models
    fetcher: Fetcher
    threads: Threads
    overtime: Overtime


class Computation:
    """Runs the plan of a claimed execution from where it stands."""

    def __init__(
        self,
        workshop: Workshop,
        run: Run,
        past: Past,
        *,
        write: Callable[[Result], None],
        version: Callable[[int], Version],
    ) -> None:
        self._workshop = workshop
        self._run = run
        self._past = past
        self._write = write
        self._version = version
        self._host = Host(self._layer, self._record, workshop.threads.spawn, run.check_kept)
        #: The very last result, which is written together with the end.
        self.held: Result | None = None

    def outcome(self, plan: Plan) -> Outcome:
        """Run what is not done yet; Stopped or Parked where it must wait for another time."""
        return engine.run(plan, self._run.claim.inputs, self._past.done, self._host)

    def pipeline(self, path: str, reference: Reference, given: Mapping[str, Any], until: float) -> Any:
        """Run another pipeline under a path; its document, LayerFailed where it fails or is given what does not fit."""
        plan = self._plan(reference)
        bound, found = inputs.bind(plan, tuple(given.items()), text_inputs=False)
        if found:
            raise LayerFailed("value_invalid", f"{reference}: {_told(found)}")
        until = min(until, time.monotonic() + plan.deadline_seconds)
        outcome = engine.run(plan, bound, self._past.done, self._host, prefix=f"{path}/", until=until)
        if outcome.failures:
            raise failure(next(iter(outcome.failures.values())))
        return outcome.document

    def _plan(self, reference: Reference) -> Plan:
        pinned = self._run.claim.pins.get(str(reference))
        if pinned is None:
            raise LayerFailed("config", f"{reference} was not there when the execution was accepted")
        return self._version(pinned).plan

    def _record(self, result: Result, last: bool) -> None:  # noqa: FBT001
        if last:
            self.held = result
        else:
            self._write(result)

    def _layer(self, layer: Layer, values: Mapping[str, Any], inner: Inner) -> Result:
        self._run.check()
        if self._workshop.running.draining.is_set():
            raise Stopped("drain")
        started = time.monotonic()
        if started >= inner.until:
            return _failed(layer, started, LayerFailed("layer_timeout", "the time of the layer around it is over"))
        events.layer_started(self._run.claim.uuid, self._run.claim.attempt, layer)
        sent_before = self._past.sent.get(layer.path, 0)
        try:
            result = self._answered(layer, values, inner.within(started + layer.timeout_seconds), started)
        except LayerFailed as error:
            result = _failed(layer, started, error)
        except Parked as parked:
            self._put_aside(layer, started, parked)
            raise
        except StrataError:
            raise
        except Exception:
            # A fault of ours in one layer is told, and costs no other property its result.
            logger.exception("layer broke", extra={"layer": layer.path})
            result = _failed(layer, started, LayerFailed("internal", "an internal error, see the worker's log"))
        metrics.layer(layer.kind, passed=result.passed, seconds=result.seconds)
        return replace(result, sent_before=sent_before) if sent_before else result

    def _answered(self, layer: Layer, values: Mapping[str, Any], inner: Inner, started: float) -> Result:
        tools = Tools(
            self,
            self._workshop.models,
            self._workshop.fetcher,
            self._run,
            layer,
            inner,
            self._past.sent.get(layer.path, 0),
        )
        with self._workshop.overtime.watched(self._run, layer):
            answer: Answer = kinds.kinds()[layer.kind].run(layer.settings, kinds.Scope(values), tools)
            skipped = answer.output is SKIPPED
            # What the inner layers gave is clean already, and may be much.
            output = answer.output if layer.layers or skipped else strict_json.clean(answer.output)
        return Result(
            layer.path,
            passed=True,
            seconds=time.monotonic() - started,
            output=None if skipped else output,
            calls=answer.calls,
            provider_response_id=answer.provider_response_id,
            details=answer.details,
            skipped=skipped,
        )

    def _put_aside(self, layer: Layer, started: float, parked: Parked) -> None:
        """Write down the calls that were sent for a layer that must wait; it is not done by this."""
        if not parked.calls:
            return
        error = LayerFailed(PARKED, "it waits for its provider", calls=parked.calls)
        result = _failed(layer, started, error)
        self._write(replace(result, sent_before=self._past.sent.get(layer.path, 0)))


def _failed(layer: Layer, started: float, error: LayerFailed) -> Result:
    return Result(
        layer.path,
        passed=False,
        seconds=time.monotonic() - started,
        error=str(error),
        reason=error.reason,
        calls=error.calls,
    )


def _told(found: list[Fault]) -> str:
    return "; ".join(f"{fault.field}: {fault.message}" for fault in found)
