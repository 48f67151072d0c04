"""The statements that move an execution from one state to another, each one round trip on a partial index.

Only `executions` runs them. Times are the database's: `now()` is the start of the transaction, `clock_timestamp()` the
moment itself.
"""

from shared.statements import Statement

_USAGE = """(
    SELECT jsonb_build_object(
               'prompt_tokens', coalesce(sum(CAST(r.usage->>'prompt_tokens' AS bigint)), 0),
               'completion_tokens', coalesce(sum(CAST(r.usage->>'completion_tokens' AS bigint)), 0),
               'total_tokens', coalesce(sum(CAST(r.usage->>'total_tokens' AS bigint)), 0))
      FROM (SELECT usage FROM layer_results WHERE execution_id = e.id {but} {more}) AS r)"""
_USED = _USAGE.format(more="", but="")
_USED_WITH_LAST = _USAGE.format(more="UNION ALL SELECT CAST(:layer_usage AS jsonb)", but="AND path <> :path")

_CLAIMED = """e.id, e.uuid, e.version_id, e.queue, e.attempt, e.deaths, c.inputs,
           CAST(extract(epoch FROM e.deadline_at - clock_timestamp()) AS float) AS seconds_left,
           CAST(extract(epoch FROM clock_timestamp() - greatest(e.accepted_at, e.not_before)) AS float)
               AS seconds_queued"""

_EXPIRY = "clock_timestamp() + make_interval(secs => :keep)"

# An organization's next rank is a second behind its last one, so that a flood waits behind itself.
ACCEPT = Statement("""
    WITH accepted AS (
        INSERT INTO executions
               (uuid, organization_id, version_id, status, queue, rank, blocked_by, not_before, deadline_at)
        SELECT :uuid, :organization, :version, CASE WHEN later THEN 'waiting' ELSE 'queued' END, :queue,
               greatest(now(), (SELECT max(rank) FROM executions
                                 WHERE organization_id = :organization AND queue = :queue AND status = 'queued')
                               - make_interval(secs => :offset) + interval '1 second')
               + make_interval(secs => :offset),
               CASE WHEN later THEN 'schedule' END, start,
               greatest(now(), start) + make_interval(secs => :deadline)
          FROM (SELECT CAST(:not_before AS timestamptz) AS start,
                       coalesce(CAST(:not_before AS timestamptz) > now(), false) AS later) AS due
        RETURNING id, uuid, status, queue, blocked_by, not_before, accepted_at, deadline_at
    ), kept AS (
        INSERT INTO contents (execution_id, inputs, tags, metadata, end_user)
        SELECT id, CAST(:inputs AS json), CAST(:tags AS jsonb), CAST(:metadata AS jsonb), :end_user FROM accepted
    )
    SELECT * FROM accepted
""")

# Ranks are given as at acceptance: those that come due together follow each other, behind what is queued already.
PROMOTE = Statement("""
    WITH due AS (
        SELECT id, organization_id, queue, not_before,
               make_interval(secs => CASE queue WHEN 'onsite' THEN CAST(:onsite AS float)
                                                WHEN 'normal' THEN CAST(:normal AS float)
                                                ELSE CAST(:low AS float) END) AS behind
          FROM executions WHERE status = 'waiting' AND not_before <= now()
         ORDER BY not_before LIMIT :batch FOR UPDATE SKIP LOCKED
    ), ranked AS (
        SELECT id, greatest(now(), (SELECT max(rank) FROM executions e
                                     WHERE e.organization_id = due.organization_id AND e.queue = due.queue
                                       AND e.status = 'queued') - behind + interval '1 second')
                   + (row_number() OVER (PARTITION BY organization_id, queue ORDER BY not_before, id) - 1)
                     * interval '1 second'
                   + behind AS rank
          FROM due
    )
    UPDATE executions e SET status = 'queued', blocked_by = NULL, rank = ranked.rank
      FROM ranked WHERE e.id = ranked.id
    RETURNING e.queue
""")

# The heads of the queues are looked at in the order of their rank; the first row that nobody else is taking is locked.
CLAIM = Statement(f"""
    WITH picked AS (
        SELECT free.id
          FROM (SELECT named.queue, (SELECT rank FROM executions WHERE status = 'queued' AND queue = named.queue
                                      ORDER BY rank LIMIT 1) AS rank
                  FROM unnest(CAST(:queues AS text[])) AS named (queue)
                 ORDER BY rank) AS head
         CROSS JOIN LATERAL (SELECT id FROM executions WHERE status = 'queued' AND queue = head.queue
                              ORDER BY rank LIMIT 1 FOR UPDATE SKIP LOCKED) AS free
         LIMIT 1
    ), claimed AS (
        UPDATE executions e
           SET status = 'running', worker = :worker, attempt = attempt + 1,
               started_at = coalesce(started_at, clock_timestamp())
          FROM picked WHERE e.id = picked.id
        RETURNING e.id, e.uuid, e.version_id, e.queue, e.attempt, e.deaths, e.deadline_at, e.accepted_at, e.not_before
    )
    SELECT {_CLAIMED} FROM claimed e JOIN contents c ON c.execution_id = e.id
""")

HAND_OVER = Statement("""
    UPDATE executions SET worker = :worker WHERE id = :id AND attempt = :attempt AND status = 'running' RETURNING id
""")

HANDED_OVER = Statement(f"""
    SELECT {_CLAIMED} FROM executions e JOIN contents c ON c.execution_id = e.id
     WHERE e.status = 'running' AND e.worker = :worker
""")

_CHECKPOINT = """
    ON CONFLICT (execution_id, path) DO UPDATE
       SET attempt = excluded.attempt, passed = excluded.passed, output = excluded.output, error = excluded.error,
           reason = excluded.reason, usage = excluded.usage, calls = excluded.calls,
           provider_response_id = excluded.provider_response_id, seconds = excluded.seconds,
           ended_at = excluded.ended_at
     WHERE NOT r.passed OR r.attempt = excluded.attempt"""

_COLUMNS = """execution_id, attempt, path, passed, output, error, reason, usage, calls, provider_response_id, seconds,
            ended_at"""

_VALUES = """id, attempt, :path, CAST(:passed AS boolean), CAST(:layer_output AS json), :layer_error, :layer_reason,
            CAST(:layer_usage AS jsonb), CAST(:calls AS integer), :response, CAST(:seconds AS float),
            {now}"""

RECORD = Statement(f"""
    INSERT INTO layer_results AS r ({_COLUMNS})
    SELECT {_VALUES.format(now="clock_timestamp()")}
      FROM executions WHERE id = :id AND attempt = :attempt AND status = 'running' FOR SHARE
    {_CHECKPOINT}
    RETURNING r.path
""")

# The last layer's checkpoint comes along, where there is one: it needs no commit of its own.
FINISH = Statement(f"""
    WITH ended AS (
        UPDATE executions e
           SET status = :status, worker = NULL, reason = :reason, ended_at = clock_timestamp(),
               expires_at = {_EXPIRY},
               usage = {_USED_WITH_LAST}
         WHERE id = :id AND attempt = :attempt AND status = 'running'
        RETURNING id, attempt, ended_at
    ), recorded AS (
        INSERT INTO layer_results AS r ({_COLUMNS})
        SELECT {_VALUES.format(now="ended_at")} FROM ended WHERE :path <> ''
        {_CHECKPOINT}
    )
    UPDATE contents SET output = CAST(:output AS json), error = :error
      FROM ended WHERE execution_id = ended.id
    RETURNING execution_id
""")

# What was to be cancelled is not queued again: no worker may ask a model for it.
RELEASE = Statement(f"""
    WITH released AS (
        UPDATE executions e
           SET worker = NULL,
               status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
               reason = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' END,
               ended_at = CASE WHEN cancel_requested_at IS NOT NULL THEN clock_timestamp() END,
               expires_at = CASE WHEN cancel_requested_at IS NOT NULL THEN {_EXPIRY} END,
               usage = CASE WHEN cancel_requested_at IS NOT NULL THEN {_USED} END
         WHERE id = :id AND attempt = :attempt AND status = 'running'
        RETURNING id, uuid, status, queue
    ), told AS (
        UPDATE contents SET error = 'cancelled' FROM released
         WHERE execution_id = released.id AND released.status = 'cancelled'
    )
    SELECT uuid, status, queue FROM released
""")

RESCUE = Statement(f"""
    WITH lost AS (
        SELECT e.id,
               CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                    WHEN deaths + 1 >= :max_deaths THEN 'failed' ELSE 'queued' END AS next
          FROM executions e
         WHERE e.status = 'running'
           AND NOT EXISTS (SELECT FROM workers w WHERE w.id = e.worker AND w.lease_until > clock_timestamp())
           AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => :lease)
         LIMIT :batch FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE executions e
           SET status = lost.next, worker = NULL, deaths = deaths + 1,
               reason = CASE lost.next WHEN 'failed' THEN 'worker_lost' WHEN 'cancelled' THEN 'cancelled' END,
               ended_at = CASE WHEN lost.next <> 'queued' THEN clock_timestamp() END,
               expires_at = CASE WHEN lost.next <> 'queued' THEN {_EXPIRY} END,
               usage = CASE WHEN lost.next <> 'queued' THEN {_USED} END
          FROM lost WHERE e.id = lost.id
        RETURNING e.id, e.uuid, e.status, e.queue
    ), told AS (
        UPDATE contents SET error = CASE ended.status WHEN 'failed' THEN 'its workers died while they ran it'
                                                      ELSE 'cancelled' END
          FROM ended WHERE execution_id = ended.id AND ended.status <> 'queued'
    )
    SELECT uuid, status, queue FROM ended
""")

END_OVERDUE = Statement(f"""
    WITH overdue AS (
        SELECT id FROM executions WHERE ended_at IS NULL AND deadline_at <= clock_timestamp()
         ORDER BY deadline_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE executions e
           SET status = 'failed', worker = NULL, blocked_by = NULL, reason = 'deadline', ended_at = clock_timestamp(),
               expires_at = {_EXPIRY}, usage = {_USED}
          FROM overdue WHERE e.id = overdue.id
        RETURNING e.id, e.uuid, e.status, e.queue
    ), told AS (
        UPDATE contents SET error = 'the deadline is over' FROM ended WHERE execution_id = ended.id
    )
    SELECT uuid, status, queue FROM ended
""")

LOCK = Statement("SELECT id, status FROM executions WHERE uuid = :uuid AND organization_id = :organization FOR UPDATE")

ASK_TO_STOP = Statement("""
    UPDATE executions SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = :id
""")

CANCEL = Statement(f"""
    WITH ended AS (
        UPDATE executions e
           SET status = 'cancelled', blocked_by = NULL, reason = 'cancelled', ended_at = clock_timestamp(),
               expires_at = {_EXPIRY}, usage = {_USED}
         WHERE id = :id
        RETURNING id
    )
    UPDATE contents SET error = 'cancelled' FROM ended WHERE execution_id = ended.id
""")

GLANCE = Statement("SELECT id, status FROM executions WHERE uuid = :uuid")

ERASE = Statement("""
    WITH expired AS (
        SELECT id FROM executions WHERE ended_at IS NOT NULL AND erased_at IS NULL AND expires_at <= clock_timestamp()
         ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ), results AS (
        DELETE FROM layer_results USING expired WHERE execution_id = expired.id
    ), content AS (
        DELETE FROM contents USING expired WHERE execution_id = expired.id
    )
    UPDATE executions SET erased_at = clock_timestamp() FROM expired WHERE executions.id = expired.id
""")

BURY = Statement("""
    DELETE FROM executions USING (
        SELECT id FROM executions
         WHERE erased_at IS NOT NULL AND expires_at <= clock_timestamp() - make_interval(secs => :days * 86400)
         ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ) AS old WHERE executions.id = old.id
""")
