"""How far each property and layer of an execution is, told from the results that are recorded.

Nothing is written down when a layer starts: what runs is what can run, once a worker has begun. Nor is what is skipped
because something else was: that follows from the plan.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from shared.plan import UNFORGIVEN, Layer, Plan, Property, Version
from shared.report import LayerReport, PropertyReport

#: One of `report.GIVEN`.
_Given = Literal["value", "nothing", "open", "never"]


def properties(
    plan: Plan, status: str, results: Mapping[str, LayerReport], *, begun: bool
) -> tuple[PropertyReport, ...]:
    """Put the results of layers, and of conditions of properties, by path, in the order of the plan.

    Of the others, say how far they are; `begun` is whether a worker has ever taken the execution up.
    """
    progress = _progress(status, begun=begun)
    given: dict[str, _Given] = {}
    found: dict[str, PropertyReport] = {}
    for each in plan.ordered():
        known, given[each.name] = _property(each, progress, results, given)
        found[each.name] = replace(known, gives=given[each.name])
    return tuple(found[each.name] for each in plan.properties)


@lru_cache(maxsize=1000)
def untouched(version: Version, status: str) -> tuple[PropertyReport, ...]:
    """The properties of an execution that no worker has taken up yet."""
    return properties(version.plan, status, {}, begun=False)


def _progress(status: str, *, begun: bool) -> str:
    """What a property is that could run, and has not ended."""
    if status in ("succeeded", "failed", "cancelled"):
        return "stopped" if begun else "skipped"
    return "running" if status == "running" else "pending"


def _property(
    each: Property, progress: str, results: Mapping[str, LayerReport], given: Mapping[str, _Given]
) -> tuple[PropertyReport, _Given]:
    condition = results.get(each.name)
    layers = _layers(each, results, {name for name in each.needs if given[name] == "nothing"})
    failed = next((one for one in (condition, *layers) if one is not None and one.state == "failed"), None)
    if failed is not None:
        gives: dict[str, _Given] = {"fail": "never", "omit": "nothing", "default": "value"}
        on_error = "fail" if failed.reason in UNFORGIVEN else each.on_error
        default = each.default if on_error == "default" else None
        return _report(each, "failed", _rest(layers, "skipped"), default, failed), gives[on_error]
    if condition is not None or "nothing" in {given[name] for name in each.needs - each.optional}:
        return _report(each, "skipped", _rest(layers, "skipped")), "nothing"
    if all(one.state != "pending" for one in layers):
        passed = [one for one in layers if one.state == "passed"]
        value = passed[-1].output if passed else None
        return _report(each, "passed" if passed else "skipped", layers, value), "value" if passed else "nothing"
    if "never" in {given[name] for name in each.needs} or progress == "skipped":
        return _report(each, "skipped", _rest(layers, "skipped")), "never"
    if "open" in {given[name] for name in each.needs}:
        waiting = "pending" if progress in ("pending", "running") else "skipped"
        return _report(each, waiting, _rest(layers, waiting)), "open" if waiting == "pending" else "never"
    return _report(each, progress, _going(layers, progress)), "open"


def _layers(each: Property, results: Mapping[str, LayerReport], absent: Set[str]) -> tuple[LayerReport, ...]:
    """The layers with what is recorded of them; those that are passed over are skipped, the others pending."""
    missing = set(absent) | {"previous"}
    layers = []
    for layer in each.layers:
        known = results.get(layer.path)
        if known is None:
            known = _unrecorded(layer, "skipped" if layer.reads & missing else "pending")
        if known.state != "skipped":
            missing.discard("previous")
        elif layer.name is not None:
            missing.add(layer.name)
        layers.append(known)
    return tuple(layers)


def _rest(layers: tuple[LayerReport, ...], state: str) -> tuple[LayerReport, ...]:
    """What is pending of these layers has another state."""
    return tuple(_put(layer, state) if layer.state == "pending" else layer for layer in layers)


def _going(layers: tuple[LayerReport, ...], progress: str) -> tuple[LayerReport, ...]:
    """The first that is pending is what runs or was stopped; what comes after it waits, or never runs."""
    return tuple(_going_on(layers, progress, "skipped" if progress == "stopped" else "pending"))


def _going_on(layers: tuple[LayerReport, ...], first: str, others: str) -> Iterator[LayerReport]:
    state = first
    for layer in layers:
        if layer.state == "pending":
            yield _put(layer, state)
            state = others
        else:
            yield layer


def _report(
    each: Property,
    state: str,
    layers: tuple[LayerReport, ...],
    value: object = None,
    failed: LayerReport | None = None,
) -> PropertyReport:
    return PropertyReport(
        id=each.id,
        name=each.name,
        state=state,
        layers=layers,
        value=value,
        error=failed.error if failed else None,
        reason=failed.reason if failed else None,
    )


def _unrecorded(layer: Layer, state: str) -> LayerReport:
    return LayerReport(layer.id, layer.path, layer.name, layer.kind, state)


def _put(layer: LayerReport, state: str) -> LayerReport:
    return LayerReport(layer.id, layer.path, layer.name, layer.kind, state)
