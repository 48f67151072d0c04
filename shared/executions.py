"""Executions: the one writer of their status.

             ┌──────────── blocked again ────────────┐
             ▼                                       │
  accept ─▶ waiting ─promote─▶ queued ─claim─▶ running ─finish─▶ succeeded | failed
               │                  │  ▲            │ │
               │                  │  └─release, rescue (its worker's lease is over)
               └───── cancel ─────┴──────────────┴──────────▶ cancelled

Every change is one statement on a partial index. Whoever writes for a worker names the attempt, and changes nothing
where that is not the current one; a trigger refuses every change of an ended row but its expiry.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared import broker, db, doorbell, inputs, metrics, pipelines, report, strict_json, transitions
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.order import Order
from shared.plan import Result
from shared.report import Report

ENDED = ("succeeded", "failed", "cancelled")
#: Seconds that a queue stands behind the others.
QUEUE_SECONDS = {"onsite": 0, "normal": 60, "low": 600}
_NO_LAYER = dict.fromkeys((
    "passed",
    "layer_output",
    "layer_error",
    "layer_reason",
    "layer_usage",
    "calls",
    "response",
    "seconds",
)) | {"path": ""}
#: Rows that a sweep changes in one transaction.
BATCH = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker owns, until its lease is over; `attempt` fences its writes."""

    id: int
    uuid: UUID
    version_id: int
    queue: str
    attempt: int
    deaths: int
    inputs: dict[str, Any]
    seconds_left: float
    seconds_queued: float


def accept(
    connection: Connection, organization_id: int, order: Order, *, uuid: UUID, faults: Sequence[Fault] = ()
) -> Report:
    """Write an execution down and return its report; a permit leaves after the commit.

    NotFound for pipeline or version. Invalid names every fault of the inputs, beside those that the wire has found
    in the rest of the body. The uuid is the caller's, so that it can look whether a commit went through whose answer
    was lost.
    """
    version = pipelines.resolve(connection, organization_id, order.pipeline, order.version)
    bound, found = inputs.bind(version.plan, order.inputs, text_inputs=order.text_inputs)
    found += [Fault(f"env_vars.{name}", "has no value", "missing") for name in version.plan.variables]
    if faults or found:
        raise Invalid([*faults, *found])
    row = transitions.ACCEPT(
        connection,
        {
            "uuid": uuid,
            "organization": organization_id,
            "version": version.id,
            "queue": order.queue,
            "offset": QUEUE_SECONDS[order.queue],
            "not_before": order.not_before,
            "deadline": order.deadline_seconds or version.plan.deadline_seconds,
            "inputs": strict_json.dumps(bound),
            "tags": strict_json.dumps(order.tags),
            "metadata": strict_json.dumps(order.metadata),
            "end_user": order.end_user,
        },
    ).one()
    db.after_commit(metrics.accepted, order.queue)
    if row.status == "queued":
        db.after_commit(broker.permit, order.queue)
    return report.accepted(row, version, order, bound)


def promote(connection: Connection) -> int:
    """Queue the waiting executions that nothing holds back any more; returns how many."""
    rows = transitions.PROMOTE(connection, {"batch": BATCH, **QUEUE_SECONDS}).all()
    for row in rows:
        db.after_commit(broker.permit, row.queue)
    return len(rows)


def claim(connection: Connection, worker: UUID, queues: Sequence[str]) -> Claim | None:
    """Take the execution with the lowest rank of these queues, or None where nothing is queued."""
    row = transitions.CLAIM(connection, {"worker": worker, "queues": list(queues)}).first()
    return Claim(**row._mapping) if row else None


def hand_over(connection: Connection, found: Claim, worker: UUID) -> bool:
    """Give a running execution to another worker id, the attempt staying the same; False where the claim is lost."""
    values = {"id": found.id, "attempt": found.attempt, "worker": worker}
    return transitions.HAND_OVER(connection, values).first() is not None


def handed_over(connection: Connection, worker: UUID) -> Claim | None:
    """The execution that was given to a worker id, None where there is none any more."""
    row = transitions.HANDED_OVER(connection, {"worker": worker}).first()
    return Claim(**row._mapping) if row else None


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
) -> bool:
    """End an execution that this attempt owns, and sum up what it used; False where the claim is lost.

    `last` is the result of the layer that ended it, if that is not recorded yet: both are written, or neither.
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
    db.after_commit(_told, found.uuid, status)
    return True


def values(result: Result) -> dict[str, Any]:
    """A layer's result as the statements take it."""
    return {
        "path": result.path,
        "passed": result.passed,
        "layer_output": strict_json.dumps(result.output) if result.passed else None,
        "layer_error": strict_json.clean(result.error),
        "layer_reason": result.reason,
        "layer_usage": strict_json.dumps(result.usage.as_json()) if result.usage else None,
        "calls": result.calls,
        "response": strict_json.clean(result.provider_response_id),
        "seconds": result.seconds,
    }


def release(connection: Connection, execution_id: int, attempt: int, *, keep_seconds: float) -> bool:
    """Give an execution back with its checkpoints, without counting a death; False where the claim is lost.

    One that was to be cancelled is cancelled instead.
    """
    values = {"id": execution_id, "attempt": attempt, "keep": keep_seconds}
    return bool(_tell(transitions.RELEASE(connection, values).all()))


def rescue(connection: Connection, *, lease_seconds: float, max_deaths: int, keep_seconds: float) -> dict[str, int]:
    """Take the executions of dead workers from them; returns how many went to which status.

    They are queued again, cancelled where that was asked for, failed at the last death that they may cause. Nobody
    is dead before Postgres itself has been up for a lease: after its restart the owners renew first.
    """
    rows = transitions.RESCUE(
        connection,
        {"lease": lease_seconds, "max_deaths": max_deaths, "keep": keep_seconds, "batch": BATCH},
    ).all()
    return _tell(rows)


def end_overdue(connection: Connection, *, keep_seconds: float) -> dict[str, int]:
    """Fail every execution whose deadline is over, whatever its state; returns how many."""
    return _tell(transitions.END_OVERDUE(connection, {"keep": keep_seconds, "batch": BATCH}).all())


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
    transitions.CANCEL(connection, {"id": row.id, "keep": keep_seconds})
    db.after_commit(_told, uuid, "cancelled")
    return "cancelled"


def glance(connection: Connection, uuid: UUID) -> tuple[int, str] | None:
    """The integer id and status of an execution, by one look at an index; None where there is none."""
    row = transitions.GLANCE(connection, {"uuid": uuid}).first()
    return (row.id, row.status) if row else None


def erase(connection: Connection, *, batch: int = 1000) -> int:
    """Delete the content of executions that have expired; returns how many, at most a batch."""
    return transitions.ERASE(connection, {"batch": batch}).rowcount


def bury(connection: Connection, *, tombstone_days: float, batch: int = 1000) -> int:
    """Delete tombstones that nobody asks for any more; returns how many, at most a batch."""
    return transitions.BURY(connection, {"days": tombstone_days, "batch": batch}).rowcount


def _tell(rows: Sequence[Any]) -> dict[str, int]:
    for row in rows:
        if row.status == "queued":
            db.after_commit(broker.permit, row.queue)
        else:
            db.after_commit(_told, row.uuid, row.status)
    return dict(Counter(row.status for row in rows))


def _told(uuid: UUID, status: str) -> None:
    metrics.ended(status)
    doorbell.ring(doorbell.ENDED, uuid)
