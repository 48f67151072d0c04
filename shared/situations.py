"""Where an execution stands among the others: one statement, its counts on indexes and bounded."""

from sqlalchemy import Connection, Row

from shared import lanes, turns
from shared.statements import Statement

#: Counting stops here; a count of one more says that there are more.
BOUND = 10_000
#: The last ends that are looked at, and the seconds that they may be old.
SAMPLE = 200
SAMPLE_SECONDS = 300


def read(connection: Connection, execution_id: int) -> Row[tuple[object, ...]]:
    """The execution, how many are claimed before it, who serves its queue, and how fast the last ones ran.

    Counts of others are None where it is not queued.
    """
    return _READ(connection, {"id": execution_id}).one()


# Said beside every status that is a column, so that the index of an organization's own rows is used.
_OWN = "q.organization_id = mine.organization_id AND q.status IN ('waiting', 'queued', 'running')"

# Before an execution come those of lower rank in every queue that the workers serve which serve its own. The last ends
# are found by their expiry, which comes as long after each of them. What is counted are the heads of the queues, cut at
# the bound before they are compared: else a backlog would be read as a whole.
_READ = Statement(f"""
    WITH mine AS MATERIALIZED (
        SELECT e.*, o.max_running, clock_timestamp() AS now
          FROM executions e JOIN organizations o ON o.id = e.organization_id
         WHERE e.id = :id
    ), serving AS MATERIALIZED (
        SELECT w.id, w.slots, w.queues FROM mine JOIN workers w ON mine.queue = ANY (w.queues)
         WHERE w.lease_until > mine.now
    ), served AS MATERIALIZED (
        SELECT queue FROM mine UNION SELECT unnest(queues) FROM serving
    ), last AS MATERIALIZED (
        SELECT mine.now, ends.started_at, ends.ended_at
          FROM mine CROSS JOIN LATERAL (SELECT queue, started_at, ended_at FROM executions
                                         WHERE ended_at IS NOT NULL AND erased_at IS NULL AND mine.status = 'queued'
                                         ORDER BY expires_at DESC LIMIT {SAMPLE}) AS ends
         WHERE ends.started_at IS NOT NULL AND ends.queue IN (SELECT queue FROM served)
           AND ends.ended_at > mine.now - make_interval(secs => {SAMPLE_SECONDS})
    )
    SELECT mine.id, mine.uuid, mine.status, mine.blocked_by, mine.not_before, mine.parked_until, mine.attempt,
           mine.deaths, mine.reason, mine.started_at, mine.ended_at, mine.cancel_requested_at, mine.max_running,
           CAST(extract(epoch FROM CASE mine.blocked_by WHEN 'schedule' THEN mine.not_before
                                                        WHEN 'pacing' THEN mine.parked_until END - mine.now) AS float)
               AS due_in,
           CAST(extract(epoch FROM mine.now - greatest(mine.accepted_at, mine.not_before, mine.parked_until)) AS float)
               AS queued_for,
           EXISTS (SELECT FROM workers w WHERE w.id = mine.worker AND w.lease_until > mine.now) AS leased,
           (SELECT CAST(coalesce(sum(slots), 0) AS integer) FROM serving) AS slots,
           (SELECT count(*) FROM serving CROSS JOIN LATERAL (
                SELECT FROM executions WHERE status = 'running' AND worker = serving.id) AS taken) AS taken,
           CASE WHEN mine.status = 'queued' THEN (
               SELECT count(*) FROM served CROSS JOIN LATERAL (
                   SELECT rank FROM executions WHERE status = 'queued' AND queue = served.queue
                    ORDER BY rank LIMIT {BOUND + 1}) AS first WHERE first.rank < mine.rank) END AS ahead,
           CASE WHEN mine.status = 'queued' THEN (
               SELECT count(*) FROM served CROSS JOIN LATERAL (
                   SELECT q.rank FROM executions q WHERE {_OWN} AND q.status = 'queued' AND q.queue = served.queue
                    ORDER BY q.rank LIMIT {BOUND + 1}) AS first WHERE first.rank < mine.rank)
                WHEN mine.blocked_by = 'cap' THEN (
               SELECT count(*) FROM (
                   SELECT q.rank, q.id FROM executions q WHERE q.organization_id = mine.organization_id
                      AND q.blocked_by = 'cap' AND q.queue = mine.queue
                    ORDER BY q.rank, q.id LIMIT {BOUND + 1}) AS first
                WHERE (first.rank, first.id) < (mine.rank, mine.id))
           END AS own_ahead,
           CASE WHEN mine.max_running IS NOT NULL THEN (
               SELECT count(*) FROM (SELECT FROM executions q WHERE {_OWN} AND q.status = 'running'
                                      ORDER BY q.queue, q.rank LIMIT mine.max_running) AS first) END AS own_running,
           CASE WHEN mine.max_running IS NOT NULL THEN
               {turns.TAKEN.format(organization="mine.organization_id", cap="mine.max_running")} END AS own_claimable,
           CASE WHEN mine.blocked_by = 'thread' THEN (
               SELECT e.uuid FROM executions e
                WHERE e.thread_id = mine.thread_id AND e.channel = mine.channel AND {lanes.GOING}
                LIMIT 1) END AS behind,
           CASE WHEN mine.blocked_by = 'thread' THEN (
               SELECT count(*) FROM executions e
                WHERE e.thread_id = mine.thread_id AND e.channel = mine.channel AND e.blocked_by = 'thread'
                  AND ({lanes.PLACE}) < (greatest(mine.accepted_at, mine.not_before), mine.id)) END AS thread_ahead,
           mine.channel, (SELECT t.uuid FROM threads t WHERE t.id = mine.thread_id) AS thread,
           (SELECT count(*) FROM last) AS ends,
           (SELECT CAST(extract(epoch FROM max(now) - min(ended_at)) AS float) FROM last) AS ends_seconds,
           (SELECT CAST(extract(epoch FROM avg(ended_at - started_at)) AS float) FROM last) AS mean_seconds
      FROM mine
""")
