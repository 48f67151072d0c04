"""The queues as they are now: for operators, autoscalers and Prometheus."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from shared.statements import Statement


def now(connection: Connection) -> list[dict[str, Any]]:
    """Every queue: queued, running, waiting, seconds that the oldest has been queued, slots, slots it has use for."""
    return [dict(row) for row in _NOW(connection).mappings()]


def heads(connection: Connection, names: Sequence[str]) -> set[tuple[int, int]]:
    """What would be claimed next of each of these queues: ids of executions with the number of their last attempt."""
    return {(row.id, row.attempt) for row in _HEADS(connection, {"queues": list(names)})}


def depth(connection: Connection, organization_id: int, *, key_id: int | None = None, at_most: int) -> int:
    """How many executions of an organization, or of one of its keys, wait or are queued; counting stops at a number."""
    values = {"organization": organization_id, "key": key_id, "at_most": at_most}
    return int(_DEPTH(connection, values).scalar_one())


# The statuses stand as rows, and their range beside them, so that the index of an organization's own rows is used.
_DEPTH = Statement("""
    SELECT count(*)
      FROM (SELECT FROM (VALUES ('waiting'), ('queued')) AS open (status)
             CROSS JOIN LATERAL (SELECT FROM executions
                                  WHERE organization_id = :organization AND status = open.status
                                    AND status IN ('waiting', 'queued', 'running')
                                    AND (CAST(:key AS bigint) IS NULL OR key_id = :key)
                                  ORDER BY queue, rank LIMIT :at_most) AS own
             LIMIT :at_most) AS counted
""")

_NOW = Statement("""
    SELECT named.queue,
           count(e.id) FILTER (WHERE e.status = 'queued') AS queued,
           count(e.id) FILTER (WHERE e.status = 'running') AS running,
           count(e.id) FILTER (WHERE e.status = 'waiting') AS waiting,
           CAST(coalesce(max(extract(epoch FROM clock_timestamp()
                                                - greatest(e.accepted_at, e.not_before, e.parked_until)))
                         FILTER (WHERE e.status = 'queued'), 0) AS float) AS oldest_seconds,
           coalesce((SELECT sum(w.slots) FROM workers w
                      WHERE named.queue = ANY (w.queues) AND w.lease_until > clock_timestamp()), 0) AS slots,
           count(e.id) FILTER (WHERE e.status IN ('queued', 'running')) AS wanted_slots
      FROM (VALUES ('onsite'), ('normal'), ('low')) AS named (queue)
      LEFT JOIN executions e ON e.queue = named.queue AND e.ended_at IS NULL
     GROUP BY named.queue
""")
_HEADS = Statement("""
    SELECT head.id, head.attempt
      FROM unnest(CAST(:queues AS text[])) AS named (queue)
     CROSS JOIN LATERAL (SELECT id, attempt FROM executions WHERE status = 'queued' AND queue = named.queue
                          ORDER BY rank LIMIT 1) AS head
""")
