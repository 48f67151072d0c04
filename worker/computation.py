"""The layers of one claimed execution, as far as they can be computed here and now."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from shared import events, inputs, kinds, metrics, outside, strict_json
from shared.checkpoints import PARKED, Past
from shared.errors import Fault, LayerFailed, Parked, Stopped, StrataError
from shared.outside import History
from shared.plan import SKIPPED, Answer, Input, Layer, Outcome, Plan, Reference, Result, Version
from worker import engine
from worker.carrying import Uncarried
from worker.fetching import Fetcher
from worker.overtime import Overtime
from worker.providers.models import Models
from worker.remotes import Remotes
from worker.running import Run, Running
from worker.searching import Searcher
from worker.steps import NOTHING, Behind, Host, Inner, failure
from worker.threads import Threads
from worker.tools import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a process has for all of its computations."""

    running: Running
    models: Models
    fetcher: Fetcher
    remotes: Remotes
    searcher: Searcher
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
        write: Callable[..., None],
        version: Callable[[int], Version],
        history: Callable[[str | None, int], History],
    ) -> None:
        self._workshop = workshop
        self._run = run
        self._past = past
        self._write = write
        self._version = version
        self._history = history
        self._carried = run.books.carried
        self._conversation = run.telling.conversation
        self._host = Host(self._layer, self._record, workshop.threads.spawn, run.check_kept)
        #: The very last result, which is written together with the end.
        self.held: Result | None = None

    def outcome(self, plan: Plan) -> Outcome:
        """Run what is not done yet; Stopped or Parked where it must wait for another time."""
        if self._conversation is not None:
            self._conversation.prepare(plan)
        outcome = engine.run(plan, self._run.claim.inputs, self._past.done, self._host)
        if not outcome.failures:
            return outcome
        return replace(outcome, failures={name: self._redacted(each) for name, each in outcome.failures.items()})

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

    def declared(self, reference: Reference) -> tuple[Input, ...]:
        """The inputs of another pipeline; LayerFailed where it was not there."""
        return self._plan(reference).inputs

    def history(self, layer: Layer, channel: str | None) -> History:
        """What a layer reads of the thread: as much as its pipeline wants, nothing where that does not read it."""
        if self._run.claim.thread_id is None or not layer.memory.reads:
            return History()
        return self._history(channel, layer.memory.history_tokens)

    def step(self, layer: Layer, inner: Inner, suffix: str, work: Callable[[outside.Tools], Answer]) -> Any:
        """Do a piece of a layer's work unless it was done before; its output, LayerFailed where it failed.

        Its result is recorded before anything uses it, under the layer's path and the suffix. What comes out is what
        was recorded, so that it is the same in every attempt.
        """
        piece = replace(layer, path=f"{layer.path}/{suffix}")
        result = self._past.done.get(piece.path)
        if result is None:
            result = self._redacted(self._stepped(piece, inner, work))
            self._write(result)
        if not result.passed:
            raise LayerFailed(result.reason or "internal", result.error or "")
        return result.output

    def _stepped(self, piece: Layer, inner: Inner, work: Callable[[outside.Tools], Answer]) -> Result:
        self._go_on()
        started = time.monotonic()
        try:
            tools = self._tools(piece, inner)
            result = _passed(piece, started, tools.booked(work(tools)))
        except LayerFailed as error:
            result = _failed(piece, started, error)
        except Parked as parked:
            self._put_aside(piece, started, parked)
            # What was sent is written down with the piece; the layer around it has sent nothing.
            raise Parked(parked.seconds) from parked
        return replace(result, sent_before=self._past.sent.get(piece.path, 0))

    def _plan(self, reference: Reference) -> Plan:
        pinned = self._run.claim.pins.get(str(reference))
        if pinned is None:
            raise LayerFailed("config", f"{reference} was not there when the execution was accepted")
        return self._version(pinned).plan

    def _record(self, result: Result, behind: Behind) -> None:
        if not result.passed:
            # That of a condition comes straight from the engine.
            result = self._redacted(result)
        if behind == NOTHING:
            self.held = result
        elif isinstance(behind, Layer) and self._asks_at_once(behind):
            self._carried.put(behind.path, partial(self._write, result))
        else:
            self._write(result)

    def _asks_at_once(self, layer: Layer) -> bool:
        """True where a layer does nothing but write its question before it sends that."""
        return (
            layer.kind == "prompt"
            and self._run.claim.thread_id is None
            and not self._run.books.bounded
            and not any(layer.settings.get(each) for each in ("tools", "cache", "background"))
        )

    def _layer(self, layer: Layer, values: Mapping[str, Any], inner: Inner) -> Result:
        try:
            self._go_on()
            started = time.monotonic()
            if started >= inner.until:
                return _failed(layer, started, LayerFailed("layer_timeout", "the time of the layer around it is over"))
            self._tell_begun(layer)
            return self._at_work(layer, values, inner)
        except Uncarried:
            # Its time begins anew once Postgres is back, and the record written.
            logger.warning("layer waits, Postgres is away", extra={"layer": layer.path})
        finally:
            # Where no call has taken it along.
            self._carried.write(layer.path)
        self._go_on()
        return self._at_work(layer, values, inner)

    def _at_work(self, layer: Layer, values: Mapping[str, Any], inner: Inner) -> Result:
        started = time.monotonic()
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
        result = self._redacted(result)
        metrics.layer(layer.kind, passed=result.passed, seconds=result.seconds)
        if self._conversation is not None:
            self._conversation.end(result)
        return replace(result, sent_before=sent_before) if sent_before else result

    def _tell_begun(self, layer: Layer) -> None:
        tell = partial(events.layer_started, self._run.claim.uuid, self._run.claim.attempt, layer)
        # Not before the one in front of it is told to have ended.
        if not self._carried.then(layer.path, tell):
            tell()
        if self._conversation is not None and layer.kind == "prompt":
            self._conversation.begin(layer)

    def _answered(self, layer: Layer, values: Mapping[str, Any], inner: Inner, started: float) -> Result:
        tools = self._tools(layer, inner)
        with self._workshop.overtime.watched(self._run, layer):
            answer: Answer = kinds.kinds()[layer.kind].run(
                layer.settings, outside.Scope(values, self._run.variables), tools
            )
            return _passed(layer, started, tools.booked(answer), self._said(layer, answer))

    def _said(self, layer: Layer, answer: Answer) -> dict[str, Any] | None:
        claim = self._run.claim
        if answer.said is None or claim.thread_id is None or not layer.memory.writes:
            return None
        return {**answer.said, "channel": layer.settings.get("channel") or claim.channel}

    def _redacted(self, result: Result) -> Result:
        """A result without the values of the execution's variables: what is recorded is what everybody goes on with."""
        redactor = self._run.redactor
        if not redactor:
            return result
        return replace(
            result,
            output=redactor.value(result.output),
            error=None if result.error is None else redactor.text(result.error),
            provider_response_id=redactor.value(result.provider_response_id),
            details=redactor.value(result.details),
            said=redactor.value(result.said),
        )

    def _tools(self, layer: Layer, inner: Inner) -> Tools:
        workshop, sent_before = self._workshop, self._past.sent.get(layer.path, 0)
        return Tools(
            self,
            workshop.models,
            workshop.fetcher,
            workshop.remotes,
            workshop.searcher,
            self._run,
            layer,
            inner,
            sent_before,
        )

    def _go_on(self) -> None:
        """Stopped where nothing more is to begin."""
        self._run.check()
        if self._workshop.running.draining.is_set():
            raise Stopped("drain")

    def _put_aside(self, layer: Layer, started: float, parked: Parked) -> None:
        """Write down the calls that were sent for a layer that must wait; it is not done by this."""
        if not parked.calls:
            return
        error = LayerFailed(PARKED, "it waits for its provider", calls=parked.calls)
        result = _failed(layer, started, error)
        self._write(replace(result, sent_before=self._past.sent.get(layer.path, 0)))


def _passed(layer: Layer, started: float, answer: Answer, said: Mapping[str, Any] | None = None) -> Result:
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
        said=said,
    )


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
