"""The queues as they are now: for operators, autoscalers and Prometheus."""

from typing import Any

from sqlalchemy import Connection

from shared.statements import Statement


def now(connection: Connection) -> list[dict[str, Any]]:
    """Every queue: queued, running, waiting, seconds that the oldest has been queued, slots, slots it has use for."""
    return [dict(row) for row in _NOW(connection).mappings()]


_NOW = Statement("""
    SELECT named.queue,
           count(e.id) FILTER (WHERE e.status = 'queued') AS queued,
           count(e.id) FILTER (WHERE e.status = 'running') AS running,
           count(e.id) FILTER (WHERE e.status = 'waiting') AS waiting,
           CAST(coalesce(max(extract(epoch FROM clock_timestamp() - greatest(e.accepted_at, e.not_before)))
                         FILTER (WHERE e.status = 'queued'), 0) AS float) AS oldest_seconds,
           coalesce((SELECT sum(w.slots) FROM workers w
                      WHERE named.queue = ANY (w.queues) AND w.lease_until > clock_timestamp()), 0) AS slots,
           count(e.id) FILTER (WHERE e.status IN ('queued', 'running')) AS wanted_slots
      FROM (VALUES ('onsite'), ('normal'), ('low')) AS named (queue)
      LEFT JOIN executions e ON e.queue = named.queue AND e.ended_at IS NULL
     GROUP BY named.queue
""")
