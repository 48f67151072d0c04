"""Explains where an execution stands: the first thing that must change for it to start, its place, and how long yet.

What is told of others are numbers alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from shared import reports, situations, workers
from shared.clock import rfc3339
from shared.report import Report
from shared.situations import BOUND

CODES = ("schedule", "thread", "pacing", "cap", "no_worker", "slots", "turn", "next", "running", "cancelling", "ended")
#: With fewer ends than this a rate says nothing.
_FEW = 10
#: How long a free slot may take to be used, in seconds.
_SOON = 1.0


@dataclass(frozen=True, slots=True)
class Cause:
    """One of CODES, a sentence for people, and the values that belong to the code, as JSON has them."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where an execution stands."""

    id: int
    uuid: UUID
    status: str
    cause: Cause
    attempt: int
    deaths: int
    #: True where it runs alone, in a process of its own.
    suspect: bool
    #: How many are claimed before it, of all; None where it is not queued.
    ahead: int | None
    #: And of its own organization; for one that waits for its cap, those that are queued before it.
    own_ahead: int | None
    #: True where there are more than the numbers say.
    more_than: bool
    estimate_seconds: float | None

    @property
    def place(self) -> int | None:
        """Its place in its queue; 1 is claimed next."""
        return None if self.ahead is None else self.ahead + 1


def explain(connection: Connection, organization_id: int, name: int | UUID) -> Explanation:
    """Explain an execution by its integer id or uuid; NotFound and Gone as for its report."""
    report = reports.find(connection, organization_id, name)
    row = situations.read(connection, report.id)
    return Explanation(
        id=row.id,
        uuid=row.uuid,
        status=row.status,
        cause=_cause(row, report),
        attempt=row.attempt,
        deaths=row.deaths,
        suspect=row.deaths >= workers.SUSPECT_DEATHS,
        ahead=_bounded(row.ahead),
        own_ahead=_bounded(row.own_ahead),
        more_than=max(row.ahead or 0, row.own_ahead or 0) > BOUND,
        estimate_seconds=_estimate(row),
    )


def _cause(row: Row[Any], report: Report) -> Cause:
    if row.ended_at is not None:
        how = f"{row.status}: {row.reason}" if row.status == "failed" else row.status
        return Cause("ended", f"It has ended, {how}.", {"reason": row.reason, "ended_at": rfc3339(row.ended_at)})
    if row.status == "running":
        return _running(row, report)
    if row.blocked_by == "schedule":
        until = rfc3339(row.not_before)
        return Cause("schedule", f"It is not to start before {until}.", {"until": until})
    if row.blocked_by == "thread":
        return _behind(row)
    if row.blocked_by == "pacing":
        until = rfc3339(row.parked_until)
        return Cause("pacing", f"The provider of its model takes no more now; it goes on at {until}.", {"until": until})
    return _capped(row) or _held_up(row)


def _running(row: Row[Any], report: Report) -> Cause:
    if row.cancel_requested_at is not None:
        since = rfc3339(row.cancel_requested_at)
        message = "It is to be cancelled, and its worker has not confirmed that yet."
        return Cause("cancelling", message, {"since": since, "leased": row.leased})
    message = "A worker runs it." if row.leased else "Its worker's lease has run out; it is about to be queued again."
    layers = [layer.path for each in report.properties for layer in each.layers if layer.state == "running"]
    return Cause("running", message, {"since": rfc3339(row.started_at), "leased": row.leased, "layers": layers})


def _behind(row: Row[Any]) -> Cause:
    details = {"thread": str(row.thread), "channel": row.channel, "thread_ahead": row.thread_ahead}
    if row.behind is None and not row.thread_ahead:
        message = "The one before it on its thread has ended; it is about to go on."
        return Cause("thread", message, {**details, "behind": None})
    if row.behind is None:
        message = "The one before it on its thread has ended; others that wait with it come first."
        return Cause("thread", message, {**details, "behind": None})
    message = f"It waits for the end of {row.behind} on its thread"
    message += f", and for {row.thread_ahead} more." if row.thread_ahead else "."
    return Cause("thread", message, {**details, "behind": str(row.behind)})


def _capped(row: Row[Any]) -> Cause | None:
    """The cap of its organization, where no other cause holds back those that come before it, too."""
    full = row.max_running is not None and row.own_running >= row.max_running
    if not full and (row.status == "queued" or not row.slots):
        return None
    details = {"limit": row.max_running, "running": row.own_running}
    if row.max_running is None or row.own_claimable < row.max_running:
        return Cause("cap", "There is room under its organization's cap again; it is about to be queued.", details)
    message = f"Its organization may have {row.max_running} running at once, and as many run or come before it."
    return Cause("cap", message, details)


def _held_up(row: Row[Any]) -> Cause:
    slots = {"running": row.taken, "slots": row.slots}
    if not row.slots:
        return Cause("no_worker", "No worker that lives serves its queue.", slots)
    if row.ahead < row.slots - row.taken:
        return Cause("next", "It is next, and a slot is free; it should start within a second.", slots)
    if not row.ahead:
        return Cause("slots", f"It is next, and all {row.slots} slots of the workers of its queue are taken.", slots)
    others = _bounded(row.ahead - row.own_ahead)
    return Cause("turn", "Others come before it, by rank.", {**slots, "others_ahead": others})


def _bounded(count: int | None) -> int | None:
    return None if count is None else min(count, BOUND)


def _estimate(row: Row[Any]) -> float | None:
    """Seconds until its start, at least; None where nothing can be said."""
    if row.due_in is not None:
        return round(max(0.0, row.due_in), 1)
    if row.status != "queued" or not row.slots:
        return None
    before = row.ahead + 1 - max(0, row.slots - row.taken)
    if before <= 0:
        return _SOON
    if row.ends >= _FEW and row.queued_for > row.ends_seconds:
        # While these ended there was work for every slot all the time, so it does not go faster.
        return max(_SOON, round(before * row.ends_seconds / row.ends, 1))
    return max(_SOON, round(before * row.mean_seconds / row.slots, 1)) if row.ends else None
