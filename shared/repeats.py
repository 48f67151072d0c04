"""Executions that are run again: the whole of one, or only what failed or is missing.

An ended execution never changes, so each of these is a new one, with the inputs of the first. A repair takes over the
results that stand: they are its own checkpoints from the beginning, and cost nothing a second time.
"""

from collections.abc import Sequence

from shared.errors import Conflict, Fault, Invalid
from shared.order import Order, Origin
from shared.plan import Layer, Plan, Property, Version
from shared.report import PropertyReport, Report


def replay(report: Report, wanted: Version, *, deadline_seconds: int | None = None) -> Order:
    """The order that runs an execution again, of the same version or another; Conflict before it has ended."""
    _ended(report)
    return _order(report, wanted, deadline_seconds)


def repair(
    report: Report,
    had: Version,
    wanted: Version,
    *,
    again: Sequence[str] = (),
    deadline_seconds: int | None = None,
) -> Order:
    """The order that runs what failed or is missing of an execution, and what depends on it.

    `again` names layers (`reviews/rank`) or properties that are run although they passed, with what follows them.
    Conflict before the execution has ended, and where nothing is left to run. Invalid for names that are not there,
    and for every property whose result would be kept and that is another in the wanted version.
    """
    _ended(report)
    known = {each.name: each for each in report.properties}
    faults = _strangers(wanted.plan, again)
    keep: list[str] = []
    inside: list[str] = []
    whole: set[str] = set()
    for each in wanted.plan.ordered():
        if not each.needs <= whole or each.name not in known or each.name in again:
            continue
        was = _Was(known[each.name], had.plan.property(each.name))
        kept, partly = was.kept(each, again)
        if was.is_whole and not was.is_same_as(each) and not _again(each, again):
            faults.append(Fault("version", f"the property {each.name} is another there, and its result cannot be kept"))
        if was.is_whole and was.is_same_as(each) and not _again(each, again):
            whole.add(each.name)
        keep += kept
        inside += partly
    if faults:
        raise Invalid(faults)
    if report.status == "succeeded" and len(whole) == len(wanted.plan.properties):
        raise Conflict("nothing failed and nothing is missing; name in `from` what is to run again")
    return _order(report, wanted, deadline_seconds, keep=tuple(keep), keep_inside=tuple(inside))


def _ended(report: Report) -> None:
    if not report.ended:
        raise Conflict("the execution has not ended")


def _order(
    report: Report,
    wanted: Version,
    deadline_seconds: int | None,
    *,
    keep: tuple[str, ...] = (),
    keep_inside: tuple[str, ...] = (),
) -> Order:
    if deadline_seconds is None and wanted.number == report.version:
        begun = max(report.accepted_at, report.not_before or report.accepted_at)
        deadline_seconds = round((report.deadline_at - begun).total_seconds())
    return Order(
        pipeline=str(wanted.pipeline_uuid),
        version=str(wanted.number),
        inputs=tuple((name, value) for name, value in report.inputs.items() if value is not None),
        tags=report.tags,
        metadata=report.metadata,
        end_user=report.end_user,
        queue=report.queue,
        deadline_seconds=deadline_seconds,
        max_cost_usd=report.max_cost_usd,
        max_tokens=report.max_tokens,
        origin=Origin(report.id, keep, keep_inside),
        thread=report.thread,
        channel=report.channel,
        environment=report.environment,
    )


class _Was:
    """A property of the first execution: what came of it, and how it was defined then."""

    def __init__(self, known: PropertyReport, defined: Property | None) -> None:
        self._known = known
        self._defined = defined

    @property
    def is_whole(self) -> bool:
        """True where nothing of it failed, and nothing is missing; it may have been skipped."""
        return self._known.state != "failed" and self._known.gives in ("value", "nothing")

    def is_same_as(self, each: Property) -> bool:
        """True where its result is one of the wanted definition too."""
        before = self._defined
        if before is None or len(before.layers) != len(each.layers) or not self._begins_as(each):
            return False
        return all(_same(layer, old) for layer, old in zip(each.layers, before.layers, strict=True))

    def kept(self, each: Property, again: Sequence[str]) -> tuple[list[str], list[str]]:
        """The layers whose results stand: the first ones, as far as they are the same, and not to run again.

        The second list has the layer behind them, where good results from inside of it stand.
        """
        kept: list[str] = []
        if self._defined is None or not self._begins_as(each):
            return [], []
        layers = zip(each.layers, self._defined.layers, self._known.layers, strict=False)
        for layer, old, found in layers:
            if layer.path in again or not _same(layer, old):
                break
            if found.state != "passed" and not (found.state == "skipped" and self.is_whole):
                return kept, [layer.path] if found.state in ("failed", "stopped") else []
            if found.state == "passed":
                kept.append(layer.path)
        return kept, []

    def _begins_as(self, each: Property) -> bool:
        before = self._defined
        return before is not None and (before.needs, before.when) == (each.needs, each.when)


def _same(layer: Layer, old: Layer) -> bool:
    return (layer.path, layer.kind, layer.settings) == (old.path, old.kind, old.settings)


def _again(each: Property, again: Sequence[str]) -> bool:
    return each.name in again or any(layer.path in again for layer in each.layers)


def _strangers(plan: Plan, again: Sequence[str]) -> list[Fault]:
    known = {each.name for each in plan.properties} | {layer.path for each in plan.properties for layer in each.layers}
    return [
        Fault(f"from[{index}]", f"{name} is no property and no layer of this version", "unknown")
        for index, name in enumerate(again)
        if name not in known
    ]
