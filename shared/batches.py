"""Batches: many executions that are accepted together, all in one transaction, and followed by one name.

A batch is there with all of its executions or not at all, so a crash while it is accepted leaves nothing behind.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared import acceptance, broker, db, executions, idempotency, metrics, reports, strict_json
from shared.clock import rfc3339
from shared.errors import NotFound
from shared.idempotency import Once
from shared.statements import Statement


@dataclass(frozen=True, slots=True)
class New:
    """A batch that is asked for: `total` lines were sent, and `faults` tells of those that are refused, as JSON."""

    uuid: UUID
    organization_id: int
    key_id: int | None
    total: int
    faults: Sequence[dict[str, Any]] = ()


def create(connection: Connection, new: New, chunks: Iterable[str], *, once: Once | None = None) -> None:
    """Write a batch and its executions down; chunks are what `acceptance.accept_lines` takes. Wants a transaction.

    With `once`, Repeated where another request has come first with the same idempotency key.
    """
    values = {
        "uuid": new.uuid,
        "organization": new.organization_id,
        "key_id": new.key_id,
        "total": new.total,
        "faults": strict_json.dumps(list(new.faults)) if new.faults else None,
    }
    if once is None:
        batch_id = _CREATE(connection, values).one().id
    else:
        batch_id = idempotency.first(connection, _CREATE_ONCE, once, values).id
    accepted: Counter[tuple[str, str]] = Counter()
    for lines in chunks:
        accepted += acceptance.accept_lines(connection, new.organization_id, batch_id, lines, key_id=new.key_id)
    for (queue, status), count in accepted.items():
        db.after_commit(metrics.accepted, queue, count)
        if status == "queued":
            # Each permit runs one execution after the other, and the sweep tops them up.
            db.after_commit(broker.permit, queue, min(count, broker.DEFAULT_BOUND))


def find(connection: Connection, organization_id: int, uuid: UUID) -> dict[str, Any]:
    """What has come of a batch so far; NotFound, also for another organization's."""
    row = _FIND(connection, {"uuid": uuid, "organization": organization_id}).first()
    if row is None:
        raise NotFound("batch")
    unended = row.waiting + row.queued + row.running
    return {
        "uuid": str(row.uuid),
        "total": row.total,
        "accepted": row.accepted,
        "refused": row.total - row.accepted,
        "ended": unended == 0,
        "progress": round((row.accepted - unended) / row.accepted, 4) if row.accepted else 1.0,
        "counts": {status: getattr(row, status) for status in STATUSES},
        "cancelling": row.cancelling,
        "accepted_at": rfc3339(row.accepted_at),
        "cancel_requested_at": rfc3339(row.cancel_requested_at),
        "first_started_at": rfc3339(row.first_started_at),
        "last_ended_at": rfc3339(row.last_ended_at),
        "usage": {name: int(getattr(row, name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        "cost": row.cost,
        "expired": row.expired,
        "faults": [] if row.expired else row.faults or [],
    }


def listed(
    connection: Connection, organization_id: int, uuid: UUID, *, status: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """Executions of a batch, by line, without their content; `after` is a line. NotFound."""
    batch_id = _id(connection, organization_id, uuid)
    values = {"batch": batch_id, "status": status, "after": after, "limit": limit}
    return [{**reports.summary(connection, row), "line": row.batch_line} for row in _LIST(connection, values).all()]


def ask_to_stop(connection: Connection, organization_id: int, uuid: UUID) -> int:
    """Note that a batch is to be cancelled, and return its id for `executions.cancel_some`; NotFound."""
    batch_id = _id(connection, organization_id, uuid)
    _ASK(connection, {"batch": batch_id})
    return batch_id


def erase(connection: Connection) -> int:
    """Forget what was wrong with the refused lines, once the content of all others is deleted; returns of how many."""
    return _ERASE(connection).rowcount


def bury(connection: Connection) -> int:
    """Delete the batches of which no execution is known any more; returns how many."""
    return _BURY(connection).rowcount


def _id(connection: Connection, organization_id: int, uuid: UUID) -> int:
    row = _ID(connection, {"uuid": uuid, "organization": organization_id}).first()
    if row is None:
        raise NotFound("batch")
    return int(row.id)


STATUSES = ("waiting", "queued", "running", *executions.ENDED)

_COLUMNS = "uuid, organization_id, key_id, total, faults"
_VALUES = ":uuid, :organization, CAST(:key_id AS bigint), CAST(:total AS integer), CAST(:faults AS json)"
_CREATE = Statement(f"INSERT INTO batches ({_COLUMNS}) VALUES ({_VALUES}) RETURNING id")
_CREATE_ONCE = Statement(f"""
    WITH keyed AS (
        INSERT INTO idempotency (organization_id, key, fingerprint, batch_uuid)
        VALUES (:organization, :idempotency_key, :fingerprint, :uuid)
        ON CONFLICT (organization_id, key) DO NOTHING
        RETURNING key
    )
    INSERT INTO batches ({_COLUMNS}) SELECT {_VALUES} FROM keyed RETURNING id
""")

_COUNTED = ", ".join(f"count(*) FILTER (WHERE status = '{status}') AS {status}" for status in STATUSES)
_SUMMED = ", ".join(
    f"coalesce(sum(CAST(usage->>'{name}' AS bigint)), 0) AS {name}"
    for name in ("prompt_tokens", "completion_tokens", "total_tokens")
)
_FIND = Statement(f"""
    SELECT b.uuid, b.total, b.faults, b.accepted_at, b.cancel_requested_at, each.*
      FROM batches b
     CROSS JOIN LATERAL (
        SELECT count(*) AS accepted, {_COUNTED}, {_SUMMED}, sum(cost) AS cost,
               count(*) FILTER (WHERE status = 'running' AND e.cancel_requested_at IS NOT NULL) AS cancelling,
               min(started_at) AS first_started_at, max(ended_at) AS last_ended_at,
               coalesce(bool_and({reports.EXPIRED}), true) AS expired
          FROM executions e WHERE batch_id = b.id) AS each
     WHERE b.uuid = :uuid AND b.organization_id IS NOT DISTINCT FROM :organization
""")
_LIST = Statement(f"""
    SELECT {reports.ROW}, e.batch_line FROM executions e
     WHERE e.batch_id = :batch AND e.batch_line > :after AND (CAST(:status AS text) IS NULL OR e.status = :status)
     ORDER BY e.batch_line LIMIT :limit
""")
_ID = Statement("SELECT id FROM batches WHERE uuid = :uuid AND organization_id = :organization")
_ASK = Statement("UPDATE batches SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = :batch")
_ERASE = Statement("""
    UPDATE batches SET faults = NULL
     WHERE faults IS NOT NULL
       AND NOT EXISTS (SELECT FROM executions WHERE batch_id = batches.id AND erased_at IS NULL)
""")
_BURY = Statement("DELETE FROM batches WHERE NOT EXISTS (SELECT FROM executions WHERE batch_id = batches.id)")
