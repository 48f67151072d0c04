"""Executions that are run again: the whole of one, or only what failed or is missing.

An ended execution never changes, so each of these is a new one, with the inputs of the first. A repair takes over the
results that stand: they are its own checkpoints from the beginning, and cost nothing a second time.
"""

from collections.abc import Sequence

from shared.errors import Conflict, Fault, Invalid
from shared.order import Order, Origin
from shared.plan import Plan, Property, Version
from shared.report import Report


def replay(report: Report, wanted: Version, *, deadline_seconds: int | None = None) -> Order:
    """The order that runs an execution again, of the same version or another; Conflict before it has ended."""
    _ended(report)
    return _order(report, wanted, deadline_seconds, keep=())


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
    passed = {layer.path for each in report.properties for layer in each.layers if layer.state == "passed"}
    faults = _strangers(wanted.plan, again)
    keep: list[str] = []
    whole: set[str] = set()
    for each in wanted.plan.ordered():
        kept = _kept(each, had.plan, passed, set(again)) if each.needs <= whole else []
        if _is_another(each, had.plan, passed) and each.needs <= whole and not _again(each, again):
            faults.append(Fault("version", f"the property {each.name} is another there, and its result cannot be kept"))
        if len(kept) == len(each.layers):
            whole.add(each.name)
        keep += kept
    if faults:
        raise Invalid(faults)
    if report.status == "succeeded" and len(whole) == len(wanted.plan.properties):
        raise Conflict("nothing failed and nothing is missing; name in `from` what is to run again")
    return _order(report, wanted, deadline_seconds, keep=tuple(keep))


def _ended(report: Report) -> None:
    if not report.ended:
        raise Conflict("the execution has not ended")


def _order(report: Report, wanted: Version, deadline_seconds: int | None, *, keep: tuple[str, ...]) -> Order:
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
        origin=Origin(report.id, keep),
    )


def _kept(each: Property, had: Plan, passed: set[str], again: set[str]) -> list[str]:
    """The layers of a property whose results stand: the first ones that passed, are the same, and not to run again."""
    before = had.property(each.name)
    if before is None or before.needs != each.needs or each.name in again:
        return []
    kept = []
    for layer, old in zip(each.layers, before.layers, strict=False):
        same = (layer.path, layer.kind, layer.settings) == (old.path, old.kind, old.settings)
        if layer.path not in passed or layer.path in again or not same:
            break
        kept.append(layer.path)
    return kept


def _is_another(each: Property, had: Plan, passed: set[str]) -> bool:
    """True for a property that passed as a whole and is defined differently in the wanted version."""
    before = had.property(each.name)
    if before is None or not {layer.path for layer in before.layers} <= passed:
        return False
    return len(_kept(each, had, passed, set())) < len(each.layers) or len(each.layers) != len(before.layers)


def _again(each: Property, again: Sequence[str]) -> bool:
    return each.name in again or any(layer.path in again for layer in each.layers)


def _strangers(plan: Plan, again: Sequence[str]) -> list[Fault]:
    known = {each.name for each in plan.properties} | {layer.path for each in plan.properties for layer in each.layers}
    return [
        Fault(f"from[{index}]", f"{name} is no property and no layer of this version", "unknown")
        for index, name in enumerate(again)
        if name not in known
    ]
