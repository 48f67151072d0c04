"""Worker processes: one row each, renewed while the process lives; what it runs is its own until the lease is over."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from shared.statements import Statement

#: An execution that so many workers have died with runs alone from then on.
SUSPECT_DEATHS = 2


#: The pid of a worker that is still to start: what it owns it has not begun, and its end is no death.
NOT_STARTED = 0


def enter(
    connection: Connection,
    worker: UUID,
    *,
    host: str,
    pid: int,
    queues: Sequence[str],
    slots: int,
    lease_seconds: float,
) -> None:
    """Write a worker process down, its lease begun."""
    _ENTER(
        connection,
        {
            "id": worker,
            "host": host,
            "pid": pid,
            "queues": list(queues),
            "slots": slots,
            "lease": lease_seconds,
        },
    )


def renew(connection: Connection, worker: UUID, *, lease_seconds: float) -> bool:
    """Renew a lease; False where the row is gone, because the lease has long been over."""
    return _RENEW(connection, {"id": worker, "lease": lease_seconds}).rowcount == 1


def renew_unstarted(connection: Connection, worker: UUID, *, lease_seconds: float) -> None:
    """Renew the lease of a worker that is still to start; of one that has started, nothing happens."""
    _RENEW_UNSTARTED(connection, {"id": worker, "lease": lease_seconds, "unstarted": NOT_STARTED})


def leave(connection: Connection, worker: UUID) -> None:
    """Give up a lease at once."""
    _LEAVE(connection, {"id": worker})


def owned(connection: Connection, worker: UUID) -> dict[int, tuple[int, bool]]:
    """What a worker runs as the database sees it: execution id → (attempt, whether it is asked to stop)."""
    return {row.id: (row.attempt, row.stop) for row in _OWNED(connection, {"id": worker})}


def living(connection: Connection) -> int:
    """How many workers hold a lease."""
    return int(_LIVING(connection).scalar_one())


def slots(connection: Connection) -> dict[str, int]:
    """Slots of the live workers that serve each queue."""
    return {row.queue: row.slots for row in _SLOTS(connection)}


def backlog(connection: Connection, *, at_most: int) -> dict[str, int]:
    """How many executions are queued per queue; counting stops at a number."""
    return {row.queue: row.queued for row in _BACKLOG(connection, {"at_most": at_most})}


def listed(connection: Connection) -> list[dict[str, Any]]:
    """Every worker process, oldest first: what it serves and runs, its seconds of age, and those left of its lease."""
    return [dict(row) for row in _LISTED(connection).mappings()]


def forget(connection: Connection) -> int:
    """Delete the rows of workers whose lease has been over for an hour and that own nothing."""
    return _FORGET(connection).rowcount


_ENTER = Statement("""
    INSERT INTO workers (id, host, pid, queues, slots, lease_until)
    VALUES (:id, :host, :pid, :queues, :slots, clock_timestamp() + make_interval(secs => :lease))
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, pid = excluded.pid
""")
_RENEW = Statement("""
    UPDATE workers SET lease_until = clock_timestamp() + make_interval(secs => :lease) WHERE id = :id
""")
_RENEW_UNSTARTED = Statement("""
    UPDATE workers SET lease_until = clock_timestamp() + make_interval(secs => :lease)
     WHERE id = :id AND pid = :unstarted
""")
_LEAVE = Statement("DELETE FROM workers WHERE id = :id")
_OWNED = Statement("""
    SELECT id, attempt, cancel_requested_at IS NOT NULL AS stop FROM executions
     WHERE status = 'running' AND worker = :id
""")
_LIVING = Statement("SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()")
_SLOTS = Statement("""
    SELECT queue, CAST(sum(slots) AS integer) AS slots FROM workers, unnest(queues) AS queue
     WHERE lease_until > clock_timestamp() GROUP BY queue
""")
_BACKLOG = Statement("""
    SELECT named.queue, (SELECT count(*) FROM (SELECT FROM executions WHERE status = 'queued' AND queue = named.queue
                                                LIMIT :at_most) AS head) AS queued
      FROM (VALUES ('onsite'), ('normal'), ('low')) AS named (queue)
""")
_LISTED = Statement("""
    SELECT w.id, w.host, w.pid, w.queues, w.slots,
           (SELECT count(*) FROM executions e WHERE e.status = 'running' AND e.worker = w.id) AS running,
           CAST(extract(epoch FROM w.lease_until - clock_timestamp()) AS float) AS lease_seconds,
           CAST(extract(epoch FROM clock_timestamp() - w.started_at) AS float) AS age_seconds
      FROM workers w ORDER BY w.started_at, w.id
""")
_FORGET = Statement("""
    DELETE FROM workers w WHERE lease_until < clock_timestamp() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM executions e WHERE e.status = 'running' AND e.worker = w.id)
""")
