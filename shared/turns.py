"""Whose turn it is: the statements that give ranks, hold caps, and claim.

The execution with the lowest rank is claimed next. A rank is a time: when an execution became claimable, later by what
its queue adds, and a turn behind the organization's last one, so that a flood waits behind itself. The clock that ranks
are read from goes no faster than the claims, or a backlog would age past everybody who comes new.
"""

from shared.statements import Statement

#: Seconds that a queue stands behind the others.
QUEUE_SECONDS = {"onsite": 0, "normal": 60, "low": 600}
_BEHIND = f"""make_interval(secs => CASE {{queue}} WHEN 'onsite' THEN {QUEUE_SECONDS["onsite"]}
                                                  WHEN 'normal' THEN {QUEUE_SECONDS["normal"]}
                                                  ELSE {QUEUE_SECONDS["low"]} END)"""

# Said where an index on these rows alone is the one to use: the planner does not see it in a status that is a column,
# and must not take the index of the queues, where the rows of others stand between an organization's own.
_UNENDED = "status IN ('waiting', 'queued', 'running')"

# Who has nothing queued or running begins where the claims have come to, so that it is next however old the backlog of
# others is. Everybody else comes a turn behind its own last one, and so waits behind itself.
RANK = f"""greatest(
    coalesce((SELECT least(at, now()) FROM pace WHERE measured_at > now() - interval '5 seconds'), now())
        + {_BEHIND},
    (SELECT max(last.rank)
       FROM (VALUES ('queued'), ('running')) AS going (status)
      CROSS JOIN LATERAL (SELECT rank FROM executions
                           WHERE organization_id = {{organization}} AND status = going.status AND queue = {{queue}}
                             AND {_UNENDED} ORDER BY rank DESC LIMIT 1) AS last) + {{turn}})"""
TURN = "make_interval(secs => 1 / {weight})"

# The primary key, whatever number of rows the planner expects.
_NAMED = "e.id = ANY (ARRAY(SELECT id FROM ranked))"

#: How many of an organization's executions are claimable or claimed, counted up to its cap.
TAKEN = f"""(
    SELECT coalesce(sum(each.taken), 0)
      FROM (VALUES ('queued'), ('running')) AS going (status)
     CROSS JOIN LATERAL (SELECT count(*) AS taken
                           FROM (SELECT FROM executions
                                  WHERE organization_id = {{organization}} AND status = going.status AND {_UNENDED}
                                  ORDER BY queue, rank LIMIT {{cap}}) AS first) AS each)"""

# What was said on a thread before the first claim is what every attempt reads.
_TAKE = """status = 'running', worker = :worker, attempt = attempt + 1,
               started_at = coalesce(started_at, clock_timestamp()),
               history_until = CASE WHEN e.thread_id IS NOT NULL THEN coalesce(e.history_until,
                   (SELECT coalesce(max(m.id), 0) FROM messages m WHERE m.thread_id = e.thread_id)) END"""
_CLAIMED = """e.id, e.uuid, e.organization_id, e.version_id, e.origin_id, e.queue, e.attempt, e.deaths, c.inputs,
           coalesce(c.pins, '{}') AS pins, e.max_cost_usd, e.max_tokens, e.environment, e.thread_id,
           (SELECT t.uuid FROM threads t WHERE t.id = e.thread_id) AS thread, e.channel, e.history_until, c.variables,
           CAST(extract(epoch FROM e.deadline_at - clock_timestamp()) AS float) AS seconds_left,
           CAST(extract(epoch FROM clock_timestamp() - greatest(e.accepted_at, e.not_before, e.parked_until)) AS float)
               AS seconds_queued"""

# Those that come due together follow each other. Those of an organization with a cap wait on, for their turn in it, and
# those of a thread for their turn there.
PROMOTE = Statement(f"""
    WITH due AS (
        SELECT e.id, e.organization_id, e.queue, e.not_before, o.max_running IS NULL AND e.thread_id IS NULL AS free,
               {TURN.format(weight="o.weight")} AS turn
          FROM executions e JOIN organizations o ON o.id = e.organization_id
         WHERE e.status = 'waiting' AND e.blocked_by = 'schedule' AND e.not_before <= now()
         ORDER BY e.not_before LIMIT :batch FOR UPDATE OF e SKIP LOCKED
    ), ranked AS (
        SELECT id, free,
               {RANK.format(organization="due.organization_id", queue="due.queue", turn="turn")}
                   + (row_number() OVER (PARTITION BY organization_id, queue ORDER BY not_before, id) - 1) * turn
                   AS rank
          FROM due
    )
    UPDATE executions e
       SET status = CASE WHEN free THEN 'queued' ELSE 'waiting' END,
           blocked_by = CASE WHEN free THEN NULL WHEN e.thread_id IS NOT NULL THEN 'thread' ELSE 'cap' END,
           rank = CASE WHEN free THEN ranked.rank ELSE 'infinity' END
      FROM ranked WHERE e.id = ranked.id AND {_NAMED}
    RETURNING e.status, e.queue
""")

# What was parked comes back with the rank that it had. Under a cap it has given its place away, and waits for another.
UNPARK = Statement("""
    WITH due AS (
        SELECT e.id, o.max_running IS NULL AS free
          FROM executions e JOIN organizations o ON o.id = e.organization_id
         WHERE e.blocked_by = 'pacing' AND e.parked_until <= now()
         ORDER BY e.parked_until LIMIT :batch FOR UPDATE OF e SKIP LOCKED
    )
    UPDATE executions e
       SET status = CASE WHEN free THEN 'queued' ELSE 'waiting' END,
           blocked_by = CASE WHEN free THEN NULL ELSE 'cap' END
      FROM due WHERE e.id = due.id AND e.id = ANY (ARRAY(SELECT id FROM due))
    RETURNING e.status, e.queue
""")

# As many as there is room for under the cap. What had a rank when it was put aside keeps it, and goes first.
_UNCAP = f"""
    WITH held AS MATERIALIZED (
        SELECT o.id, {TURN.format(weight="o.weight")} AS turn,
               CASE WHEN o.max_running IS NULL THEN CAST(:batch AS bigint)
                    ELSE greatest(0, o.max_running - {TAKEN.format(organization="o.id", cap="o.max_running")})
                END AS room
          FROM organizations o
         WHERE {{which}} AND EXISTS (SELECT FROM executions e WHERE e.organization_id = o.id AND e.blocked_by = 'cap')
    ), found AS (
        SELECT heads.*, held.turn, held.room,
               row_number() OVER (PARTITION BY held.id ORDER BY isfinite(heads.rank) DESC,
                                  heads.accepted_at + {_BEHIND.format(queue="heads.queue")}, heads.id) AS place
          FROM held CROSS JOIN (VALUES ('onsite'), ('normal'), ('low')) AS named (queue)
         CROSS JOIN LATERAL (SELECT id, organization_id, queue, rank, accepted_at FROM executions
                              WHERE organization_id = held.id AND blocked_by = 'cap' AND queue = named.queue
                              ORDER BY rank, id LIMIT held.room FOR UPDATE SKIP LOCKED) AS heads
    ), ranked AS (
        SELECT id, CASE WHEN isfinite(rank) THEN rank ELSE
                   {RANK.format(organization="chosen.organization_id", queue="chosen.queue", turn="turn")}
                   + (row_number() OVER (PARTITION BY organization_id, queue ORDER BY place) - 1) * turn END AS rank
          FROM (SELECT * FROM found WHERE place <= room) AS chosen
    )
    UPDATE executions e SET status = 'queued', blocked_by = NULL, rank = ranked.rank
      FROM ranked WHERE e.id = ranked.id AND {_NAMED}
    RETURNING e.status, e.queue
"""
UNCAP = Statement(_UNCAP.format(which="true"))
UNCAP_ONE = Statement(_UNCAP.format(which="o.id = :organization"))

# The clock of the turns: it goes with the claims, never ahead of real time, and a little by itself, so that a backlog
# that hardly moves is not overtaken for ever.
MEASURE_PACE = Statement(f"""
    UPDATE pace
       SET at = least(clock_timestamp(), greatest(at + (clock_timestamp() - measured_at) / 10,
                                                  coalesce(claimed, queued, clock_timestamp()))),
           measured_at = clock_timestamp()
      FROM (SELECT (SELECT max(rank - {_BEHIND.format(queue="queue")}) FROM executions WHERE status = 'running')
                       AS claimed,
                   (SELECT min(head.rank - {_BEHIND.format(queue="named.queue")})
                      FROM (VALUES ('onsite'), ('normal'), ('low')) AS named (queue)
                     CROSS JOIN LATERAL (SELECT rank FROM executions WHERE status = 'queued' AND queue = named.queue
                                          ORDER BY rank LIMIT 1) AS head) AS queued) AS found
""")

# The heads of the queues are looked at in the order of their rank; the first row that nobody else is taking is locked.
# One whose organization has a cap is only named: `CLAIM_CAPPED` decides. What is claimed counts as queued still where
# `followed` looks for another.
CLAIM = Statement(f"""
    WITH picked AS (
        SELECT free.id, (SELECT max_running FROM organizations WHERE id = free.organization_id) AS max_running
          FROM (SELECT named.queue, (SELECT rank FROM executions WHERE status = 'queued' AND queue = named.queue
                                      ORDER BY rank LIMIT 1) AS rank
                  FROM unnest(CAST(:queues AS text[])) AS named (queue)
                 ORDER BY rank) AS head
         CROSS JOIN LATERAL (SELECT id, organization_id FROM executions WHERE status = 'queued' AND queue = head.queue
                              ORDER BY rank LIMIT 1 FOR UPDATE SKIP LOCKED) AS free
         LIMIT 1
    ), claimed AS (
        UPDATE executions e SET {_TAKE}
          FROM picked WHERE e.id = picked.id AND picked.max_running IS NULL
        RETURNING e.*
    )
    SELECT picked.id AS picked, {_CLAIMED},
           (SELECT count(*) > 1 FROM unnest(CAST(:queues AS text[])) AS named (queue)
             CROSS JOIN LATERAL (SELECT FROM executions WHERE status = 'queued' AND queue = named.queue
                                  ORDER BY rank LIMIT 2) AS head) AS followed
      FROM picked LEFT JOIN claimed e ON true LEFT JOIN contents c ON c.execution_id = e.id
""")

LOCK_QUEUED = Statement("""
    SELECT organization_id FROM executions WHERE id = :id AND status = 'queued' FOR UPDATE SKIP LOCKED
""")

# Whoever counts an organization's running executions, or ends one, comes after the others; the number keeps these locks
# apart from other uses of advisory locks.
LOCK_CAP = Statement("SELECT pg_advisory_xact_lock(7265818, CAST(mod(:organization, 2147483647) AS integer))")

CLAIM_CAPPED = Statement(f"""
    WITH taken AS (
        UPDATE executions e
           SET {_TAKE}
         WHERE id = :id AND status = 'queued'
           AND (SELECT max_running IS NULL
                       OR max_running > (SELECT count(*) FROM executions r WHERE r.organization_id = o.id
                                            AND r.status = 'running')
                  FROM organizations o WHERE o.id = e.organization_id)
        RETURNING e.*
    )
    SELECT {_CLAIMED} FROM taken e JOIN contents c ON c.execution_id = e.id
""")

PUT_ASIDE = Statement("""
    UPDATE executions SET status = 'waiting', blocked_by = 'cap' WHERE id = :id AND status = 'queued'
""")

HANDED_OVER = Statement(f"""
    SELECT {_CLAIMED}, o.max_running
      FROM executions e JOIN contents c ON c.execution_id = e.id JOIN organizations o ON o.id = e.organization_id
     WHERE e.status = 'running' AND e.worker = :worker
""")
