"""The order on threads: of the executions on one thread and channel, one after the other goes on.

An execution takes its place when it is accepted, a scheduled one when it is due. Whoever lets one go holds the row of
the thread, and looks at the neighbours in a statement of its own, which sees what others did before they let the row
go. An end needs no lock to be right, only to be noticed: what it let nobody go for, the sweep does.
"""

from shared import turns
from shared.statements import Statement

_PLACED = "e.ended_at IS NULL AND (e.blocked_by IS DISTINCT FROM 'schedule' OR e.not_before <= now())"
#: True for an execution `e` that others wait for: it goes on, or may as soon as there is room for it; or it is due, and
#: comes to its place at the next sweep.
GOING = f"e.blocked_by IS DISTINCT FROM 'thread' AND {_PLACED}"

#: True where somebody has a place on the thread and channel of an order.
TAKEN = f"""EXISTS (SELECT FROM executions e
                             WHERE e.thread_id = CAST(:thread_id AS bigint) AND e.channel = :channel
                               AND {_PLACED})"""

#: The place of an execution `e` among those that wait with it.
PLACE = "greatest(e.accepted_at, e.not_before), e.id"

# Nobody is waited for: whoever holds a thread lets the next go, or leaves it to the next sweep.
LOCK_FREE = Statement(f"""
    SELECT t.id FROM threads t
     WHERE t.id = ANY (ARRAY(
               SELECT lane.thread_id
                 FROM (SELECT DISTINCT thread_id, channel FROM executions WHERE blocked_by = 'thread') AS lane
                WHERE NOT EXISTS (SELECT FROM executions e
                                   WHERE e.thread_id = lane.thread_id AND e.channel = lane.channel AND {GOING})
                LIMIT :batch))
       FOR NO KEY UPDATE SKIP LOCKED
""")

LOCK = Statement("SELECT FROM threads WHERE id = :thread FOR NO KEY UPDATE")

# The first of each channel where nobody goes on. One that somebody is changing is left: what comes behind it must not
# overtake it.
LET_GO = Statement(f"""
    WITH lane AS MATERIALIZED (
        SELECT DISTINCT thread_id, channel FROM executions
         WHERE blocked_by = 'thread' AND thread_id = ANY (CAST(:threads AS bigint[]))
    ), first AS MATERIALIZED (
        SELECT next.id
          FROM lane CROSS JOIN LATERAL (SELECT e.id FROM executions e
                                         WHERE e.thread_id = lane.thread_id AND e.channel = lane.channel
                                           AND e.blocked_by = 'thread' ORDER BY {PLACE} LIMIT 1) AS next
         WHERE NOT EXISTS (SELECT FROM executions e
                            WHERE e.thread_id = lane.thread_id AND e.channel = lane.channel AND {GOING})
    ), freed AS (
        SELECT e.id, e.organization_id, e.queue, o.max_running IS NULL AS free,
               {turns.TURN.format(weight="o.weight")} AS turn, greatest(e.accepted_at, e.not_before) AS since
          FROM executions e JOIN organizations o ON o.id = e.organization_id
         WHERE e.id = ANY (ARRAY(SELECT id FROM first)) AND e.blocked_by = 'thread'
           FOR UPDATE OF e SKIP LOCKED
    ), ranked AS (
        SELECT id, free,
               {turns.RANK.format(organization="freed.organization_id", queue="freed.queue", turn="turn")}
                   + (row_number() OVER (PARTITION BY organization_id, queue ORDER BY since, id) - 1) * turn AS rank
          FROM freed
    )
    UPDATE executions e
       SET status = CASE WHEN free THEN 'queued' ELSE 'waiting' END,
           blocked_by = CASE WHEN free THEN NULL ELSE 'cap' END,
           rank = CASE WHEN free THEN ranked.rank ELSE 'infinity' END
      FROM ranked WHERE e.id = ranked.id AND e.id = ANY (ARRAY(SELECT id FROM ranked))
    RETURNING e.status, e.queue
""")
