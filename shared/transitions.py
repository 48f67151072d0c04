"""The statements that move an execution from one state to another, each one round trip on a partial index.

Only `executions` runs them. Times are the database's: `now()` is the start of the transaction, `clock_timestamp()` the
moment itself.
"""

from shared import lanes, ledger, turns
from shared.statements import Statement

_USED = ledger.USED.format(more="", having="true")
_USED_WITH_LAST = ledger.USED.format(more=ledger.WITH_LINES, having="true")
_USED_IF_CANCELLED = ledger.USED.format(more="", having="e.cancel_requested_at IS NOT NULL")
_USED_IF_LOST = ledger.USED.format(more="", having="lost.next <> 'queued'")

# What is told of an end: to those who wait for it, and to those who follow its thread.
_TOLD = """uuid, status, queue, organization_id, thread_id, channel, reason,
           (SELECT t.uuid FROM threads t WHERE t.id = thread_id) AS thread"""
_EXPIRY = "clock_timestamp() + make_interval(secs => :keep)"

_TAKEN = turns.TAKEN.format(organization=":organization", cap="coalesce(max_running, 0)")
_RANK = turns.RANK.format(organization=":organization", queue=":queue", turn=turns.TURN.format(weight="weight"))
_ACCEPT = f"""
    WITH asked AS (
        SELECT CAST(:not_before AS timestamptz) AS start,
               coalesce(CAST(:not_before AS timestamptz) > now(), false) AS later, weight, max_running
          FROM organizations WHERE id = :organization
    ), placed AS MATERIALIZED (
        SELECT start, weight,
               CASE WHEN later THEN 'schedule'
                    WHEN {lanes.TAKEN} THEN 'thread'
                    WHEN max_running IS NOT NULL
                     AND max_running <= {_TAKEN}
                    THEN 'cap' END AS blocked
          FROM asked
    ), {{keyed}} accepted AS (
        INSERT INTO executions (uuid, organization_id, version_id, key_id, origin_id, status, queue, rank, blocked_by,
                                not_before, deadline_at, max_cost_usd, max_tokens, environment, thread_id, channel)
        SELECT :uuid, :organization, :version, CAST(:key_id AS bigint), CAST(:origin AS bigint),
               CASE WHEN blocked IS NULL THEN 'queued' ELSE 'waiting' END, CAST(:queue AS text),
               CASE WHEN blocked IS NULL
                    THEN {_RANK}
                    ELSE 'infinity' END,
               blocked, start, greatest(now(), start) + make_interval(secs => :deadline),
               CAST(:max_cost_usd AS numeric), CAST(:max_tokens AS bigint), :environment,
               CAST(:thread_id AS bigint), :channel
          FROM placed {{first}}
        RETURNING id, uuid, status, queue, blocked_by, not_before, accepted_at, deadline_at
    ), kept AS (
        INSERT INTO contents (execution_id, inputs, tags, metadata, end_user, pins, variables)
        SELECT id, CAST(:inputs AS json), CAST(:tags AS jsonb), CAST(:metadata AS jsonb), :end_user,
               CAST(:pins AS jsonb), CAST(:variables AS bytea) FROM accepted
    )
    SELECT * FROM accepted
"""
ACCEPT = Statement(_ACCEPT.format(keyed="", first=""))

# Of several requests with one key the first to insert it is accepted; the others wait for its commit and give no row.
ACCEPT_ONCE = Statement(
    _ACCEPT.format(
        keyed="""keyed AS (
        INSERT INTO idempotency (organization_id, key, fingerprint, execution_uuid)
        VALUES (:organization, :idempotency_key, :fingerprint, :uuid)
        ON CONFLICT (organization_id, key) DO NOTHING
        RETURNING key
    ),""",
        first="WHERE EXISTS (SELECT FROM keyed)",
    )
)

# The lines of a batch, as JSON. Each comes a turn behind the one before, and beyond the cap they wait.
ACCEPT_LINES = Statement(f"""
    WITH asked AS MATERIALIZED (
        SELECT asked.*, coalesce(not_before > now(), false) AS later
          FROM json_to_recordset(CAST(:lines AS json)) AS asked
               (line integer, uuid uuid, version bigint, queue text, not_before timestamptz, deadline float,
                max_cost_usd numeric, max_tokens bigint, inputs text, tags text, metadata text, end_user text,
                pins text, environment text, variables text)
    ), owner AS MATERIALIZED (
        SELECT weight, max_running - {_TAKEN} AS room FROM organizations WHERE id = :organization
    ), placed AS MATERIALIZED (
        SELECT asked.*,
               CASE WHEN later THEN 'schedule'
                    WHEN row_number() OVER (PARTITION BY later ORDER BY line) > room THEN 'cap' END AS blocked
          FROM asked CROSS JOIN owner
    ), first AS MATERIALIZED (
        SELECT free.queue, {turns.TURN.format(weight="weight")} AS turn,
               {
    turns.RANK.format(organization=":organization", queue="free.queue", turn=turns.TURN.format(weight="weight"))
} AS rank
          FROM (SELECT DISTINCT queue FROM placed WHERE blocked IS NULL) AS free CROSS JOIN owner
    ), accepted AS (
        INSERT INTO executions (uuid, organization_id, version_id, key_id, status, queue, rank, blocked_by, not_before,
                                deadline_at, max_cost_usd, max_tokens, environment, batch_id, batch_line)
        SELECT uuid, :organization, version, CAST(:key_id AS bigint),
               CASE WHEN blocked IS NULL THEN 'queued' ELSE 'waiting' END, queue,
               CASE WHEN blocked IS NULL
                    THEN first.rank
                         + (row_number() OVER (PARTITION BY queue, blocked ORDER BY line) - 1) * turn
                    ELSE 'infinity' END,
               blocked, not_before, greatest(now(), not_before) + make_interval(secs => deadline),
               max_cost_usd, max_tokens, environment, CAST(:batch AS bigint), line
          FROM placed LEFT JOIN first USING (queue) ORDER BY line
        RETURNING id, uuid, queue, status
    ), kept AS (
        INSERT INTO contents (execution_id, inputs, tags, metadata, end_user, pins, variables)
        SELECT id, CAST(inputs AS json), CAST(tags AS jsonb), CAST(metadata AS jsonb), end_user, CAST(pins AS jsonb),
               decode(variables, 'base64')
          FROM accepted JOIN asked USING (uuid)
    )
    SELECT queue, status, count(*) AS count FROM accepted GROUP BY queue, status
""")

# What is kept of an execution that is repaired: it costs nothing here, and no attempt of this execution made it.
KEEP = Statement("""
    INSERT INTO layer_results (execution_id, path, attempt, passed, output, calls, seconds, ended_at, skipped, details,
                               said)
    SELECT :id, path, 0, true, output, 0, seconds, ended_at, skipped, details, said FROM layer_results
     WHERE execution_id = :origin AND passed
       AND (path = ANY (:paths)
            OR substring(path FROM '^[^/]+/[^/[]+') = ANY (CAST(:inside AS text[])) AND path <> ALL (:inside)
            OR substring(path FROM '^[^/]+/[^/[]+') = ANY (CAST(:paths AS text[])))
    RETURNING path
""")

HAND_OVER = Statement("""
    UPDATE executions SET worker = :worker WHERE id = :id AND attempt = :attempt AND status = 'running' RETURNING id
""")

# Said so that the index of what runs is not the one to use: it has all that ran since the last vacuum, and the planner
# takes it for as short as it once was.
_RUNNING = "status IS NOT DISTINCT FROM 'running'"

_CHECKPOINT = """
    ON CONFLICT (execution_id, path) DO UPDATE
       SET attempt = excluded.attempt, passed = excluded.passed, output = excluded.output, error = excluded.error,
           reason = excluded.reason, usage = excluded.usage, cost = excluded.cost, calls = excluded.calls,
           provider_response_id = excluded.provider_response_id, details = excluded.details,
           skipped = excluded.skipped, said = excluded.said, seconds = excluded.seconds, ended_at = excluded.ended_at
     WHERE NOT r.passed OR r.attempt = excluded.attempt"""

_COLUMNS = """execution_id, attempt, path, passed, output, error, reason, usage, cost, calls, provider_response_id,
            details, skipped, said, seconds, ended_at"""

_VALUES = """id, attempt, :path, CAST(:passed AS boolean), CAST(:layer_output AS json), :layer_error, :layer_reason,
            CAST(:layer_usage AS jsonb), CAST(:layer_cost AS numeric), CAST(:calls AS integer), :response,
            CAST(:details AS jsonb), CAST(:skipped AS boolean), CAST(:said AS json), CAST(:seconds AS float), {now}"""

RECORD = Statement(f"""
    WITH held AS MATERIALIZED (
        SELECT id, attempt, organization_id, key_id, version_id
          FROM executions WHERE id = :id AND attempt = :attempt AND {_RUNNING} FOR SHARE
    ), {ledger.BOOKED.format(owner="held", where="")}, {ledger.OPENED.format(owner="held")}
    INSERT INTO layer_results AS r ({_COLUMNS})
    SELECT {_VALUES.format(now="clock_timestamp()")} FROM held
    {_CHECKPOINT}
    RETURNING r.path
""")

# The last layer's checkpoint comes along, where there is one: it needs no commit of its own.
FINISH = Statement(f"""
    WITH ended AS (
        UPDATE executions e
           SET status = :status, worker = NULL, reason = :reason, ended_at = clock_timestamp(),
               expires_at = {_EXPIRY},
               (usage, cost) = {_USED_WITH_LAST}
         WHERE id = :id AND attempt = :attempt AND {_RUNNING}
        RETURNING id, attempt, ended_at, organization_id, key_id, version_id
    ), {ledger.BOOKED.format(owner="ended", where="")}, recorded AS (
        INSERT INTO layer_results AS r ({_COLUMNS})
        SELECT {_VALUES.format(now="ended_at")} FROM ended WHERE :path <> ''
        {_CHECKPOINT}
    )
    UPDATE contents SET output = CAST(:output AS json), error = :error
      FROM ended WHERE execution_id = ended.id
    RETURNING execution_id
""")

# What was to be cancelled is not queued again: no worker may ask a model for it.
_GIVE_BACK = f"""
    WITH released AS (
        UPDATE executions e
           SET worker = NULL,
               status = CASE WHEN cancel_requested_at IS NULL THEN '{{status}}' ELSE 'cancelled' END,{{until}}
               reason = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' END,
               ended_at = CASE WHEN cancel_requested_at IS NOT NULL THEN clock_timestamp() END,
               expires_at = CASE WHEN cancel_requested_at IS NOT NULL THEN {_EXPIRY} END,
               (usage, cost) = {_USED_IF_CANCELLED}
         WHERE id = :id AND attempt = :attempt AND status = 'running'
        RETURNING id, uuid, status, queue, organization_id, thread_id, channel, reason
    ), told AS (
        UPDATE contents SET error = 'cancelled' FROM released
         WHERE execution_id = released.id AND released.status = 'cancelled'
    )
    SELECT {_TOLD} FROM released
"""
RELEASE = Statement(_GIVE_BACK.format(status="queued", until=""))

# It keeps its rank, and so its turn among those that wait as it does.
PARK = Statement(
    _GIVE_BACK.format(
        status="waiting",
        until="""
               blocked_by = CASE WHEN cancel_requested_at IS NULL THEN 'pacing' END,
               parked_until = clock_timestamp() + make_interval(secs => :seconds),""",
    )
)

# What is parked may be taken up at once, by the ids that callers know.
RECALL = Statement("""
    UPDATE executions SET parked_until = least(parked_until, now())
     WHERE uuid = ANY (CAST(:uuids AS uuid[])) AND blocked_by = 'pacing' RETURNING uuid
""")

RESCUE = Statement(f"""
    WITH lost AS (
        SELECT e.id, begun.died,
               CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                    WHEN deaths + CAST(begun.died AS integer) >= :max_deaths THEN 'failed' ELSE 'queued' END AS next
          FROM executions e
         CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE w.pid = :unstarted) = 0 AS died FROM workers w
                              WHERE w.id = e.worker) AS begun
         WHERE e.status = 'running'
           AND NOT EXISTS (SELECT FROM workers w WHERE w.id = e.worker AND w.lease_until > clock_timestamp())
           AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => :lease)
         LIMIT :batch FOR UPDATE OF e SKIP LOCKED
    ), ended AS (
        UPDATE executions e
           SET status = lost.next, worker = NULL, deaths = deaths + CAST(lost.died AS integer),
               reason = CASE lost.next WHEN 'failed' THEN 'worker_lost' WHEN 'cancelled' THEN 'cancelled' END,
               ended_at = CASE WHEN lost.next <> 'queued' THEN clock_timestamp() END,
               expires_at = CASE WHEN lost.next <> 'queued' THEN {_EXPIRY} END,
               (usage, cost) = {_USED_IF_LOST}
          FROM lost WHERE e.id = lost.id
        RETURNING e.id, e.uuid, e.status, e.queue, e.organization_id, e.thread_id, e.channel, e.reason
    ), told AS (
        UPDATE contents SET error = CASE ended.status WHEN 'failed' THEN 'its workers died while they ran it'
                                                      ELSE 'cancelled' END
          FROM ended WHERE execution_id = ended.id AND ended.status <> 'queued'
    )
    SELECT {_TOLD} FROM ended
""")

_END = f"""
    WITH chosen AS (
        {{chosen}} FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE executions e
           SET status = :status, worker = NULL, blocked_by = NULL, reason = :reason, ended_at = clock_timestamp(),
               expires_at = {_EXPIRY}, (usage, cost) = {_USED}
          FROM chosen WHERE e.id = chosen.id
        RETURNING e.id, e.uuid, e.status, e.queue, e.organization_id, e.thread_id, e.channel, e.reason
    ), told AS (
        UPDATE contents SET error = :error FROM ended WHERE execution_id = ended.id
    )
    SELECT {_TOLD} FROM ended
"""
END_OVERDUE = Statement(
    _END.format(
        chosen="""SELECT id FROM executions WHERE ended_at IS NULL AND deadline_at <= clock_timestamp()
         ORDER BY deadline_at LIMIT :batch"""
    )
)
END_ONE = Statement(_END.format(chosen="SELECT id FROM executions WHERE id = :id AND ended_at IS NULL"))
END_OF_BATCH = Statement(
    _END.format(
        chosen="""SELECT id FROM executions WHERE batch_id = :id AND status IN ('waiting', 'queued')
         ORDER BY batch_line LIMIT :batch"""
    )
)

REQUEUE = Statement("""
    UPDATE executions SET status = 'queued', worker = NULL
     WHERE id = :id AND status = 'running' AND cancel_requested_at IS NULL RETURNING status, queue
""")

# Waits for whatever is being written for the execution; what follows it sees that.
HOLD = Statement("SELECT FROM executions WHERE id = :id FOR UPDATE")

LOCK = Statement("""
    SELECT id, status, thread_id FROM executions
     WHERE uuid = :uuid AND organization_id IS NOT DISTINCT FROM :organization FOR UPDATE
""")

ASK_TO_STOP = Statement("""
    UPDATE executions SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = :id
""")

ASK_BATCH_TO_STOP = Statement("""
    UPDATE executions SET cancel_requested_at = now()
     WHERE batch_id = :id AND status = 'running' AND cancel_requested_at IS NULL RETURNING uuid
""")

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
