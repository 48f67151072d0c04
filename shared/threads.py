"""Threads: conversations that executions share, found by organization and uuid."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from shared.clock import rfc3339
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.statements import Statement

#: An empty thread is forgotten after so many days without use.
EMPTY_DAYS = 1.0


def enter(connection: Connection, organization_id: int, uuid: UUID) -> int:
    """The integer id of a thread, which is made where it is not there; holds its row until the transaction ends."""
    values = {"organization": organization_id, "uuid": uuid}
    return int(_ENTER(connection, values).scalar_one())


def use(connection: Connection, thread_id: int) -> None:
    """Note that a thread is used, and hold its row until the transaction ends."""
    _USE(connection, {"thread": thread_id})


def listed(
    connection: Connection, organization_id: int, *, before: int | None, limit: int
) -> list[tuple[int, dict[str, Any]]]:
    """Threads, the newest first, each with its integer id; `before` is the id after which the page goes on."""
    rows = _LIST(connection, {"organization": organization_id, "before": before, "limit": limit})
    return [(row.id, _told(row)) for row in rows]


def find(connection: Connection, organization_id: int, uuid: UUID) -> dict[str, Any]:
    """A thread with its channels, and how many executions on it have not ended; NotFound."""
    row = _row(connection, organization_id, uuid)
    channels = [
        {**each._asdict(), "first_at": rfc3339(each.first_at), "last_at": rfc3339(each.last_at)}
        for each in _CHANNELS(connection, {"thread": row.id})
    ]
    return {**_told(row), "channels": channels, "open_executions": row.open_executions}


def messages(
    connection: Connection, organization_id: int, uuid: UUID, *, channel: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """What was said on a thread, the oldest first, on one channel or on all of them; NotFound."""
    row = _row(connection, organization_id, uuid)
    values = {"thread": row.id, "channel": channel, "after": after, "limit": limit}
    return [
        {
            **each._asdict(),
            "execution": str(each.execution) if each.execution else None,
            "created_at": rfc3339(each.created_at),
        }
        for each in _MESSAGES(connection, values)
    ]


def fork(
    connection: Connection, organization_id: int, uuid: UUID, *, until: int, new: UUID, channel: str | None = None
) -> int:
    """Begin a new thread with what was said on another one up to a message; returns how many messages it has.

    Only what was said on one channel, where it is named. NotFound; Invalid where the message is none of these;
    Conflict where the new thread is there already. It wants a transaction.
    """
    row = _row(connection, organization_id, uuid)
    if not _HAS(connection, {"thread": row.id, "channel": channel, "message": until}).first():
        raise Invalid([Fault("until", "is no message of this thread and channel", "unknown")])
    made = _MAKE(connection, {"organization": organization_id, "uuid": new}).first()
    if made is None:
        raise Conflict(f"there is a thread {new} already")
    return _COPY(connection, {"thread": row.id, "new": made.id, "channel": channel, "until": until}).rowcount


def delete(connection: Connection, organization_id: int, uuid: UUID) -> None:
    """Delete a thread with all that was said on it; NotFound, Conflict while executions on it have not ended.

    It wants a transaction.
    """
    row = _HOLD(connection, {"organization": organization_id, "uuid": uuid}).first()
    if row is None:
        raise NotFound("thread")
    if not _DELETE(connection, {"threads": [row.id]}).rowcount:
        raise Conflict("executions on the thread have not ended; cancel them first")


def forget(connection: Connection, *, days: float, batch: int = 100) -> int:
    """Delete threads without use for so many days, empty ones sooner; returns how many, at most a batch.

    None on which an execution has not ended. It wants a transaction.
    """
    values = {"days": days, "empty_days": min(days, EMPTY_DAYS), "batch": batch}
    idle = [row.id for row in _LOCK_IDLE(connection, values)]
    return _DELETE(connection, {"threads": idle}).rowcount if idle else 0


def _row(connection: Connection, organization_id: int, uuid: UUID) -> Row[Any]:
    row = _FIND(connection, {"organization": organization_id, "uuid": uuid}).first()
    if row is None:
        raise NotFound("thread")
    return row


def _told(row: Row[Any]) -> dict[str, Any]:
    return {"uuid": str(row.uuid), "created_at": rfc3339(row.created_at), "used_at": rfc3339(row.used_at)}


_ENTER = Statement("""
    INSERT INTO threads (organization_id, uuid) VALUES (:organization, CAST(:uuid AS uuid))
    ON CONFLICT (organization_id, uuid) DO UPDATE SET used_at = clock_timestamp() RETURNING id
""")

_USE = Statement("UPDATE threads SET used_at = clock_timestamp() WHERE id = :thread")

# Nothing empties a thread, so that each is looked at for that once in its life.
_LOCK_IDLE = Statement("""
    SELECT t.id FROM threads t
     WHERE (t.used_at < now() - make_interval(secs => :days * 86400)
            OR (t.used_at < now() - make_interval(secs => :empty_days * 86400)
                AND t.used_at > now() - make_interval(secs => 3 * :empty_days * 86400)
                AND NOT EXISTS (SELECT FROM messages m WHERE m.thread_id = t.id)))
       AND NOT EXISTS (SELECT FROM executions e WHERE e.thread_id = t.id AND e.ended_at IS NULL)
     ORDER BY t.used_at LIMIT :batch FOR UPDATE SKIP LOCKED
""")

# Looked at again once they are held, or one that was accepted meanwhile would lose its thread.
_DELETE = Statement("""
    DELETE FROM threads t
     WHERE t.id = ANY (CAST(:threads AS bigint[]))
       AND NOT EXISTS (SELECT FROM executions e WHERE e.thread_id = t.id AND e.ended_at IS NULL)
""")

_HOLD = Statement("""
    SELECT id FROM threads WHERE organization_id = :organization AND uuid = CAST(:uuid AS uuid) FOR UPDATE
""")

_LIST = Statement("""
    SELECT id, uuid, created_at, used_at FROM threads
     WHERE organization_id = :organization AND id < coalesce(CAST(:before AS bigint), 9223372036854775807)
     ORDER BY id DESC LIMIT :limit
""")

_FIND = Statement("""
    SELECT t.id, t.uuid, t.created_at, t.used_at,
           (SELECT count(*) FROM executions e WHERE e.thread_id = t.id AND e.ended_at IS NULL) AS open_executions
      FROM threads t WHERE t.organization_id = :organization AND t.uuid = CAST(:uuid AS uuid)
""")

_CHANNELS = Statement("""
    SELECT channel AS name, count(*) AS messages, CAST(sum(tokens) AS bigint) AS tokens, min(created_at) AS first_at,
           max(created_at) AS last_at
      FROM messages WHERE thread_id = :thread GROUP BY channel ORDER BY channel
""")

_ON = "thread_id = :thread AND channel = coalesce(CAST(:channel AS text), channel)"

_MESSAGES = Statement(f"""
    SELECT id, channel, role, content, tokens, execution_uuid AS execution, path, created_at
      FROM messages WHERE {_ON} AND id > :after ORDER BY id LIMIT :limit
""")

_HAS = Statement(f"SELECT id FROM messages WHERE {_ON} AND id = :message")

_MAKE = Statement("""
    INSERT INTO threads (organization_id, uuid) VALUES (:organization, CAST(:uuid AS uuid))
    ON CONFLICT (organization_id, uuid) DO NOTHING RETURNING id
""")

_COPY = Statement(f"""
    INSERT INTO messages (thread_id, channel, role, content, tokens, created_at)
    SELECT :new, channel, role, content, tokens, created_at FROM messages WHERE {_ON} AND id <= :until ORDER BY id
""")
