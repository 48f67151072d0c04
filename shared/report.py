"""What came of an order, free of any wire: the execution, its properties, their layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.order import DEFAULT_CHANNEL, DEFAULT_ENVIRONMENT, Order
from shared.plan import Usage, Version

#: Of a layer or property. What is skipped never runs: its condition does not hold, what it needs was skipped or has
#: failed, or the execution has ended; what is stopped was running when the execution was ended from outside.
STATES = ("pending", "running", "passed", "failed", "skipped", "stopped")

#: A value, which may be null; nothing, because it was skipped; nothing yet; nothing ever, as it did not come to it.
GIVEN = ("value", "nothing", "open", "never")


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Calls that were cut before their answers, and may have been paid: how many, and what was estimated for them."""

    calls: int = 0
    tokens: int = 0
    cost: Decimal | None = None

    def __add__(self, other: "Uncertain") -> "Uncertain":
        return Uncertain(self.calls + other.calls, self.tokens + other.tokens, _added(self.cost, other.cost))


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls came to: all that were answered, how much of that was asked for again, and beside it what was cut.

    A cost is US dollars; None where no price is known.
    """

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None
    retried_usage: Usage = field(default_factory=Usage)
    uncertain: Uncertain = field(default_factory=Uncertain)

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.calls + other.calls,
            self.usage + other.usage,
            _added(self.cost, other.cost),
            self.retried_usage + other.retried_usage,
            self.uncertain + other.uncertain,
        )


def _added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return one if other is None else other if one is None else one + other


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
    #: What its calls came to, with those that were sent for it by all attempts and inside of it.
    spent: Spent = field(default_factory=Spent)
    #: What else there is to tell of it, by name.
    details: Mapping[str, Any] = field(default_factory=dict)
    #: What was recorded of the layers inside of it, in their order, and how many there are of each state.
    inner: "tuple[LayerReport, ...]" = ()
    inner_states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PropertyReport:
    """One property; its times are those of its layers, its error is the error of the layer that failed."""

    id: int
    name: str
    state: str
    layers: tuple[LayerReport, ...]
    value: Any = None
    #: What it has for those that need it, one of GIVEN.
    gives: str = "open"
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
    #: The property whose value is the output; None where that is an object of all of them.
    output_name: str | None = None
    #: The execution that this one replays or repairs.
    origin_id: int | None = None
    #: What its calls came to; `usage` is of it.
    spent: Spent = field(default_factory=Spent)
    #: What may be spent on it; None for no bound.
    max_cost_usd: Decimal | None = None
    max_tokens: int | None = None
    #: The conversation that it is part of, and the lane of that; None without one.
    thread: UUID | None = None
    channel: str | None = None
    environment: str = DEFAULT_ENVIRONMENT

    @property
    def ended(self) -> bool:
        """True once nothing changes any more."""
        return self.status in ("succeeded", "failed", "cancelled")


def accepted(
    row: Any, version: Version, order: Order, inputs: Mapping[str, Any], properties: tuple[PropertyReport, ...]
) -> Report:
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
        properties=properties,
        output_name=version.plan.output,
        origin_id=order.origin.id if order.origin else None,
        max_cost_usd=order.max_cost_usd,
        max_tokens=order.max_tokens,
        thread=order.thread,
        channel=(order.channel or DEFAULT_CHANNEL) if order.thread else None,
        environment=order.environment or DEFAULT_ENVIRONMENT,
    )
