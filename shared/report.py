"""What came of an order, free of any wire: the execution, its properties, their layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.order import Order
from shared.plan import Layer, Plan, Property, Usage, Version

#: Of a layer or property. What is skipped never runs: what it needs has failed, or the execution has ended; what is
#: stopped was running when the execution was ended from outside.
STATES = ("pending", "running", "passed", "failed", "skipped", "stopped")


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer; its state is one of STATES."""

    id: int
    path: str
    name: str | None
    kind: str
    state: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    output: Any = None
    error: str | None = None
    reason: str | None = None
    usage: Usage | None = None
    calls: int = 0
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class PropertyReport:
    """One property; its times are those of its layers, its error is the error of the layer that failed."""

    id: int
    name: str
    state: str
    layers: tuple[LayerReport, ...]
    value: Any = None
    error: str | None = None
    reason: str | None = None

    @property
    def started_at(self) -> datetime | None:
        """When its first layer started."""
        return min((each.started_at for each in self.layers if each.started_at), default=None)

    @property
    def ended_at(self) -> datetime | None:
        """When its last layer ended; None while it goes on."""
        if self.state not in ("passed", "failed"):
            return None
        return max((each.ended_at for each in self.layers if each.ended_at), default=None)

    @property
    def started(self) -> bool:
        """True where any of its layers has ended or may have been running."""
        return self.state in ("passed", "failed", "running", "stopped")


@dataclass(frozen=True, slots=True)
class Report:
    """An execution and what is known of it now."""

    id: int
    uuid: UUID
    status: str
    queue: str
    handle: str
    version: int
    pipeline_uuid: UUID
    attempt: int
    accepted_at: datetime
    deadline_at: datetime
    not_before: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    blocked_by: str | None
    cancel_requested_at: datetime | None
    reason: str | None
    error: str | None
    usage: Usage
    inputs: Mapping[str, Any]
    tags: Mapping[str, str]
    metadata: Mapping[str, Any]
    end_user: str | None
    output: Any
    properties: tuple[PropertyReport, ...]
    #: The execution that this one replays or repairs.
    origin_id: int | None = None

    @property
    def ended(self) -> bool:
        """True once nothing changes any more."""
        return self.status in ("succeeded", "failed", "cancelled")


def accepted(row: Any, version: Version, order: Order, inputs: Mapping[str, Any]) -> Report:
    """The report of an execution that has just been accepted, of its row and its order."""
    return Report(
        id=row.id,
        uuid=row.uuid,
        status=row.status,
        queue=row.queue,
        handle=version.handle,
        version=version.number,
        pipeline_uuid=version.pipeline_uuid,
        attempt=0,
        accepted_at=row.accepted_at,
        deadline_at=row.deadline_at,
        not_before=row.not_before,
        started_at=None,
        ended_at=None,
        expires_at=None,
        blocked_by=row.blocked_by,
        cancel_requested_at=None,
        reason=None,
        error=None,
        usage=Usage(),
        inputs=inputs,
        tags=order.tags,
        metadata=order.metadata,
        end_user=order.end_user,
        output=None,
        properties=properties(version.plan, row.status, {}, begun=False),
        origin_id=order.origin.id if order.origin else None,
    )


def properties(
    plan: Plan, status: str, results: Mapping[str, LayerReport], *, begun: bool
) -> tuple[PropertyReport, ...]:
    """Put the results of layers (by path) in the order of the plan, and say of the others how far they are.

    Nothing is written down when a layer starts: what runs is what can run, once a worker has begun.
    """
    progress = _progress(status, begun=begun)
    states: dict[str, str] = {}
    for each in plan.ordered():
        states[each.name] = _state(each, progress, results, states)
    return tuple(_property(each, states[each.name], results) for each in plan.properties)


def _state(each: Property, progress: str, results: Mapping[str, LayerReport], states: Mapping[str, str]) -> str:
    found = [results[layer.path].state for layer in each.layers if layer.path in results]
    if "failed" in found:
        return "failed"
    if len(found) == len(each.layers):
        return "passed"
    before = {states[name] for name in each.needs}
    if before <= {"passed"} and progress in ("running", "stopped"):
        return progress
    return "pending" if progress in ("pending", "running") and not before & {"failed", "skipped"} else "skipped"


def _progress(status: str, *, begun: bool) -> str:
    """What a property is that could run, and has not ended."""
    if status in ("succeeded", "failed", "cancelled"):
        return "stopped" if begun else "skipped"
    return "running" if status == "running" else "pending"


def _property(each: Property, state: str, results: Mapping[str, LayerReport]) -> PropertyReport:
    layers: list[LayerReport] = []
    going = state in ("running", "stopped")
    for layer in each.layers:
        known = results.get(layer.path)
        layers.append(known or _unrecorded(layer, state if going else _idle(state)))
        going = going and known is not None
    failed = next((layer for layer in layers if layer.state == "failed"), None)
    return PropertyReport(
        id=each.id,
        name=each.name,
        state=state,
        layers=tuple(layers),
        value=layers[-1].output if state == "passed" else None,
        error=failed.error if failed else None,
        reason=failed.reason if failed else None,
    )


def _unrecorded(layer: Layer, state: str) -> LayerReport:
    return LayerReport(layer.id, layer.path, layer.name, layer.kind, state)


def _idle(state: str) -> str:
    return "pending" if state in ("pending", "running") else "skipped"
