"""Executions from their acceptance on: the one writer of their status.

             ┌─ put aside ─┐
             ▼             │
  accept ─▶ waiting ─promote─▶ queued ─claim─▶ running ─finish─▶ succeeded | failed
               │ ▲                │  ▲            │ │
               │ └──── park ──────┼──┼────────────┤ │ (its provider wants it to wait)
               │                  │  └─ release, rescue, requeue (its worker is gone, or told to stop)
               └───── cancel ─────┴───────────────┴──────────▶ cancelled

Every change is one statement on a partial index. Whoever writes for a worker names the attempt, and changes nothing
where that is not the current one; a trigger refuses every change of an ended row but its expiry.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared import (
    broker,
    db,
    doorbell,
    events,
    lanes,
    ledger,
    memory,
    metrics,
    strict_json,
    thread_events,
    threads,
    transitions,
    turns,
    webhooks,
    workers,
)
from shared.errors import Conflict, NotFound
from shared.order import DEFAULT_CHANNEL
from shared.plan import Result
from shared.thread_events import Place

ENDED = ("succeeded", "failed", "cancelled")
_NO_LAYER = dict.fromkeys((
    "passed",
    "layer_output",
    "layer_error",
    "layer_reason",
    "layer_usage",
    "calls",
    "response",
    "seconds",
    "layer_cost",
    "details",
    "skipped",
    "said",
)) | {"path": "", **ledger.booked(())}
#: What is told on a thread of an end that no worker has written, by its reason.
_MESSAGES = {"deadline": "the deadline is over", "worker_lost": "its workers died while they ran it"}
#: Rows that a sweep changes in one transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker owns, until its lease is over; `attempt` fences its writes."""

    id: int
    uuid: UUID
    organization_id: int
    version_id: int
    origin_id: int | None
    queue: str
    attempt: int
    deaths: int
    inputs: dict[str, Any]
    seconds_left: float
    seconds_queued: float
    #: The version that each pipeline inside of it runs, by `handle@version`.
    pins: dict[str, int]
    #: What may be spent on it, over all of its attempts; None for no bound.
    max_cost_usd: Decimal | None = None
    max_tokens: int | None = None
    environment: str | None = None
    #: The conversation that it is part of, and up to which message that is read.
    thread_id: int | None = None
    thread: UUID | None = None
    channel: str | None = None
    history_until: int | None = None
    #: The values of its variables, sealed.
    variables: bytes | None = field(default=None, repr=False)
    #: Its organization may have only so many running: its end makes room for the next.
    capped: bool = False
    #: Others were queued when it was claimed, as far as is known.
    followed: bool = True

    @property
    def makes_room(self) -> bool:
        """True where its end lets others go, which takes several statements and wants a transaction."""
        return self.capped or self.thread_id is not None

    @property
    def fresh(self) -> bool:
        """True where no layer can have passed yet."""
        return self.attempt == 1 and self.origin_id is None

    @property
    def place(self) -> Place | None:
        """Where it is told on its thread, None where it is on none."""
        if self.thread is None:
            return None
        return Place(self.organization_id, self.thread, self.uuid, self.channel or DEFAULT_CHANNEL)


_CLAIM = tuple(each.name for each in fields(Claim) if each.name not in ("capped", "followed"))


def promote(connection: Connection) -> int:
    """Queue the waiting executions that nothing holds back any more; returns how many."""
    due = turns.PROMOTE(connection, {"batch": BATCH}).all()
    unparked = turns.UNPARK(connection, {"batch": BATCH}).all()
    idle = [row.id for row in lanes.LOCK_FREE(connection, {"batch": BATCH})]
    let_go = lanes.LET_GO(connection, {"threads": idle}).all() if idle else []
    freed = turns.UNCAP(connection, {"batch": BATCH}).all()
    return _permitted([*due, *unparked, *let_go, *freed])


def measure_pace(connection: Connection) -> None:
    """Note how far the claims have come; those who come new get their rank from it."""
    turns.MEASURE_PACE(connection)


def claim(connection: Connection, worker: UUID, queues: Sequence[str]) -> Claim | int | None:
    """Take the execution with the lowest rank of these queues; None where nothing is queued.

    An integer is the id of one whose organization has a cap: `claim_capped` takes it, in a transaction.
    """
    row = turns.CLAIM(connection, {"worker": worker, "queues": list(queues)}).first()
    if row is None:
        return None
    if row.id is None:
        return int(row.picked)
    return _claimed(row, capped=False, followed=row.followed)


def claim_capped(connection: Connection, worker: UUID, execution_id: int) -> Claim | None:
    """Take an execution if its organization may have one more running, else put it aside; None where it is not taken.

    One claim of the organization comes after the other here, or several would find the last place free at once.
    """
    row = turns.LOCK_QUEUED(connection, {"id": execution_id}).first()
    if row is None:
        return None
    turns.LOCK_CAP(connection, {"organization": row.organization_id})
    taken = turns.CLAIM_CAPPED(connection, {"id": execution_id, "worker": worker}).first()
    if taken is None:
        turns.PUT_ASIDE(connection, {"id": execution_id})
        return None
    return _claimed(taken, capped=True)


def make_room(connection: Connection, organization_id: int) -> None:
    """Queue what waits for the place of an execution that ends in this transaction."""
    turns.LOCK_CAP(connection, {"organization": organization_id})
    _permitted(turns.UNCAP_ONE(connection, {"organization": organization_id, "batch": BATCH}).all())


def let_go(connection: Connection, thread_id: int) -> None:
    """Let the next one go on each channel of a thread where nobody goes on; waits for others that look at it."""
    lanes.LOCK(connection, {"thread": thread_id})
    _permitted(lanes.LET_GO(connection, {"threads": [thread_id]}).all())


def hand_over(connection: Connection, found: Claim, worker: UUID) -> bool:
    """Give a running execution to another worker id, the attempt staying the same; False where the claim is lost."""
    values = {"id": found.id, "attempt": found.attempt, "worker": worker}
    return transitions.HAND_OVER(connection, values).first() is not None


def handed_over(connection: Connection, worker: UUID) -> Claim | None:
    """The execution that was given to a worker id, None where there is none any more."""
    row = turns.HANDED_OVER(connection, {"worker": worker}).first()
    return _claimed(row, capped=row.max_running is not None) if row else None


def finish(
    connection: Connection,
    found: Claim,
    status: str,
    *,
    keep_seconds: float,
    output: Any = None,
    reason: str | None = None,
    error: str | None = None,
    last: Result | None = None,
    message: str | None = None,
) -> bool:
    """End an execution that this attempt owns, and sum up what it used; False where the claim is lost.

    `last` is the result of the layer that ended it, if that is not recorded yet: both are written, or neither. What
    it has said is added to its thread, where a `message` tells why it failed. Where the claim `makes_room` this takes
    several statements, and wants a transaction; so does `hold`, which comes first while a layer may still be writing.
    """
    row = transitions.FINISH(
        connection,
        {
            "id": found.id,
            "attempt": found.attempt,
            "status": status,
            "output": strict_json.dumps(output) if status == "succeeded" else None,
            "reason": reason,
            "error": strict_json.clean(error),
            "keep": keep_seconds,
            **(values(last) if last else _NO_LAYER),
        },
    ).first()
    if row is None:
        return False
    # Who waits is told first: what it asks next goes on while everything else is told.
    db.after_commit(doorbell.ring, doorbell.ENDED, found.uuid)
    if last:
        db.after_commit(events.layer_ended, found.uuid, found.attempt, last)
    db.after_commit(_told, found.uuid, status)
    db.after_commit(webhooks.hint, found.organization_id)
    if found.place is not None:
        told = message or error or (last.error if last else None)
        db.after_commit(thread_events.ended, found.place, status, reason, told)
    if status == "failed" and reason is not None:
        db.after_commit(metrics.failed, reason)
    if found.thread_id is not None:
        if status == "succeeded":
            threads.use(connection, found.thread_id)
            memory.write(connection, found.id)
        let_go(connection, found.thread_id)
    if found.capped:
        make_room(connection, found.organization_id)
    return True


def values(result: Result) -> dict[str, Any]:
    """A layer's result as the statements take it."""
    usage = result.usage
    return {
        "path": result.path,
        "passed": result.passed,
        "layer_output": strict_json.dumps(result.output) if result.passed else None,
        "layer_error": strict_json.clean(result.error),
        "layer_reason": result.reason,
        "layer_usage": strict_json.dumps(usage.as_json()) if usage else None,
        "calls": result.sent_before + len(result.calls),
        "response": strict_json.clean(result.provider_response_id),
        "seconds": result.seconds,
        "layer_cost": result.cost,
        "details": strict_json.dumps(dict(result.details)) if result.details else None,
        "skipped": result.skipped,
        "said": strict_json.dumps(strict_json.clean(dict(result.said))) if result.said else None,
        **ledger.booked(ledger.lines(result.path, result.calls)),
    }


def hold(connection: Connection, execution_id: int) -> None:
    """Wait for the records that are under way, before an end that does not wait for its layers.

    An end sums up what was recorded when its statement began, and would leave out what it had to wait for.
    """
    transitions.HOLD(connection, {"id": execution_id})


def requeue(connection: Connection, execution_id: int) -> bool:
    """Take a running execution from its worker and queue it again, at an operator's word; False where none runs."""
    return bool(_permitted(transitions.REQUEUE(connection, {"id": execution_id}).all()))


def fail(connection: Connection, execution_id: int, *, error: str, keep_seconds: float) -> bool:
    """Fail an execution at an operator's word, reason `operator`; False where it has ended."""
    ending = {"status": "failed", "reason": "operator", "error": strict_json.clean(error), "keep": keep_seconds}
    hold(connection, execution_id)
    ended = transitions.END_ONE(connection, {"id": execution_id, **ending}).all()
    _let_go_behind(connection, ended)
    return bool(_tell(ended))


def release(connection: Connection, execution_id: int, attempt: int, *, keep_seconds: float) -> bool:
    """Give an execution back with its checkpoints, without counting a death; False where the claim is lost.

    One that was to be cancelled is cancelled instead.
    """
    values = {"id": execution_id, "attempt": attempt, "keep": keep_seconds}
    hold(connection, execution_id)
    return bool(_tell(transitions.RELEASE(connection, values).all()))


def park(connection: Connection, found: Claim, seconds: float, *, keep_seconds: float) -> bool:
    """Give an execution back for so many seconds, with its checkpoints and its rank; False where the claim is lost.

    It is for a worker that has nothing of it in flight any more. It counts no death and holds no slot, nor a place
    under the cap of its organization; its deadline goes on. One that was to be cancelled is cancelled instead. As
    with `finish`, a `capped` claim wants a transaction.
    """
    values = {"id": found.id, "attempt": found.attempt, "seconds": seconds, "keep": keep_seconds}
    hold(connection, found.id)
    rows = transitions.PARK(connection, values).all()
    _tell([row for row in rows if row.status != "waiting"])
    if any(row.status == "waiting" for row in rows):
        db.after_commit(metrics.parked)
    if rows and found.capped:
        make_room(connection, found.organization_id)
    return bool(rows)


def recall(connection: Connection, uuids: Sequence[UUID]) -> list[UUID]:
    """Let parked executions come back at the next promotion; returns those that are parked."""
    return [row.uuid for row in transitions.RECALL(connection, {"uuids": list(uuids)})]


def rescue(connection: Connection, *, lease_seconds: float, max_deaths: int, keep_seconds: float) -> dict[str, int]:
    """Take the executions of dead workers from them; returns how many went to which status.

    They are queued again, cancelled where that was asked for, failed at the last death that they may cause. Nobody
    is dead before Postgres itself has been up for a lease: after its restart the owners renew first.
    """
    rows = transitions.RESCUE(
        connection,
        {
            "lease": lease_seconds,
            "max_deaths": max_deaths,
            "keep": keep_seconds,
            "batch": BATCH,
            "unstarted": workers.NOT_STARTED,
        },
    ).all()
    return _tell(rows)


def end_overdue(connection: Connection, *, keep_seconds: float) -> dict[str, int]:
    """Fail every execution whose deadline is over, whatever its state; returns how many."""
    ending = {"status": "failed", "reason": "deadline", "error": "the deadline is over", "keep": keep_seconds}
    return _tell(transitions.END_OVERDUE(connection, {"batch": BATCH, **ending}).all())


def cancel(connection: Connection, organization_id: int, uuid: UUID, *, keep_seconds: float) -> str:
    """Cancel: at once what does not run; a running one is asked to stop. Returns `cancelled` or `cancelling`.

    Conflict where it has ended another way; NotFound.
    """
    row = transitions.LOCK(connection, {"uuid": uuid, "organization": organization_id}).first()
    if row is None:
        raise NotFound("execution")
    if row.status in ("succeeded", "failed"):
        raise Conflict(f"the execution has {row.status} already")
    if row.status == "cancelled":
        return "cancelled"
    if row.status == "running":
        transitions.ASK_TO_STOP(connection, {"id": row.id})
        db.after_commit(doorbell.ring, doorbell.CANCEL, uuid)
        return "cancelling"
    ending = {"status": "cancelled", "reason": "cancelled", "error": "cancelled", "keep": keep_seconds}
    ended = transitions.END_ONE(connection, {"id": row.id, **ending}).all()
    _let_go_behind(connection, ended)
    _tell(ended)
    return "cancelled"


def cancel_some(connection: Connection, batch_id: int, *, keep_seconds: float) -> tuple[int, int]:
    """Cancel executions of a batch, a limited number that do not run; returns how many, and how many are asked to stop.

    One that another transaction is changing is left for the next time.
    """
    ending = {"status": "cancelled", "reason": "cancelled", "error": "cancelled", "keep": keep_seconds}
    ended = _tell(transitions.END_OF_BATCH(connection, {"id": batch_id, "batch": BATCH, **ending}).all())
    stopping = transitions.ASK_BATCH_TO_STOP(connection, {"id": batch_id}).scalars().all()
    for uuid in stopping:
        db.after_commit(doorbell.ring, doorbell.CANCEL, uuid)
    return ended.get("cancelled", 0), len(stopping)


def erase(connection: Connection, *, batch: int = 1000) -> int:
    """Delete the content of executions that have expired; returns how many, at most a batch."""
    return transitions.ERASE(connection, {"batch": batch}).rowcount


def bury(connection: Connection, *, tombstone_days: float, batch: int = 1000) -> int:
    """Delete tombstones that nobody asks for any more; returns how many, at most a batch."""
    return transitions.BURY(connection, {"days": tombstone_days, "batch": batch}).rowcount


def _claimed(row: Any, *, capped: bool, followed: bool = True) -> Claim:
    values = row._asdict()
    return Claim(**{name: values[name] for name in _CLAIM}, capped=capped, followed=followed)


def _let_go_behind(connection: Connection, ended: Sequence[Any]) -> None:
    for row in ended:
        if row.thread_id is not None:
            let_go(connection, row.thread_id)


def _permitted(rows: Sequence[Any]) -> int:
    queued = [row.queue for row in rows if row.status == "queued"]
    for queue in queued:
        db.after_commit(broker.permit, queue)
    return len(queued)


def _tell(rows: Sequence[Any]) -> dict[str, int]:
    for row in rows:
        if row.status == "queued":
            db.after_commit(broker.permit, row.queue)
        else:
            db.after_commit(doorbell.ring, doorbell.ENDED, row.uuid)
            db.after_commit(_told, row.uuid, row.status)
            db.after_commit(webhooks.hint, row.organization_id)
            if row.thread is not None:
                place = Place(row.organization_id, row.thread, row.uuid, row.channel or DEFAULT_CHANNEL)
                db.after_commit(thread_events.ended, place, row.status, row.reason, _MESSAGES.get(row.reason))
    return dict(Counter(row.status for row in rows))


def _told(uuid: UUID, status: str) -> None:
    metrics.ended(status)
    events.ended(uuid, status)
