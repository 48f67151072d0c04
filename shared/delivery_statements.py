"""The statements that move a delivery from one state to another, and find it; only `deliveries` runs them."""

from shared.statements import Statement

# Every webhook to which something is owed, by hops over the index: one look each, however much that is.
_OWED = """
    WITH RECURSIVE owed AS (
        (SELECT webhook_id FROM deliveries WHERE status = 'pending' ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_id FROM deliveries d WHERE d.status = 'pending' AND d.webhook_id > owed.webhook_id
                 ORDER BY d.webhook_id LIMIT 1)
          FROM owed WHERE owed.webhook_id IS NOT NULL
    )"""

# Places are taken at random, so that senders of several processes seldom choose the same; one that fails has the first.
CLAIM = Statement(f"""
    {_OWED}, picked AS MATERIALIZED (
        SELECT w.uuid, w.url, w.dialect, w.tells_event, w.secret, due.id AS delivery_id,
               free.places[due.number] AS place,
               CASE WHEN w.former_until > clock_timestamp() THEN w.former_secret END AS former_secret
          FROM owed
          JOIN webhooks w ON w.id = owed.webhook_id AND w.disabled_at IS NULL
         CROSS JOIN LATERAL (
               SELECT array(SELECT s.place FROM deliveries s WHERE s.webhook_id = w.id AND s.status = 'sending')
                   AS places
               ) AS taken
         CROSS JOIN LATERAL (
               SELECT array(SELECT place FROM generate_series(1, :places) AS place WHERE place <> ALL (taken.places)
                             ORDER BY CASE WHEN w.failing_since IS NULL THEN random() ELSE place END) AS places
               ) AS free
         CROSS JOIN LATERAL (
               SELECT head.id, head.due_at, row_number() OVER (ORDER BY head.due_at) AS number
                 FROM (SELECT d.id, d.due_at FROM deliveries d
                        WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.due_at <= clock_timestamp()
                        ORDER BY d.due_at
                        LIMIT CASE WHEN w.failing_since IS NULL THEN least(:many, cardinality(free.places))
                                   ELSE greatest(0, 1 - cardinality(taken.places)) END) AS head
               ) AS due
         ORDER BY cardinality(taken.places) + due.number, due.due_at LIMIT :many
    ), chosen AS MATERIALIZED (
        SELECT d.id FROM deliveries d
         WHERE d.id IN (SELECT delivery_id FROM picked) AND d.status = 'pending' FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE deliveries d
           SET status = 'sending', worker = :sender, lease_until = clock_timestamp() + make_interval(secs => :lease),
               place = picked.place, attempts = attempts + 1, tries = tries + 1
          FROM chosen JOIN picked ON picked.delivery_id = chosen.id
         WHERE d.id = chosen.id
        RETURNING d.id, d.uuid, d.organization_id, picked.uuid AS webhook, d.event, d.subject, d.data,
                  d.attempts AS attempt, d.tries, d.created_at, picked.url, picked.dialect, picked.tells_event,
                  picked.secret, picked.former_secret
    )
    SELECT claimed.*, picked.count AS picked
      FROM (SELECT count(*) FROM picked) AS picked LEFT JOIN claimed ON true
""")

# The webhook's own row is touched only where what is known of its health changes.
RECORD = Statement("""
    WITH done AS (
        UPDATE deliveries
           SET status = :outcome, worker = NULL, lease_until = NULL, place = NULL,
               due_at = clock_timestamp() + make_interval(secs => :again),
               ended_at = CASE WHEN :outcome <> 'pending' THEN clock_timestamp() END
         WHERE id = :id AND status = 'sending' AND worker = :sender AND attempts = :attempt
        RETURNING id, webhook_id
    ), written AS (
        INSERT INTO delivery_attempts (delivery_id, number, started_at, seconds, status, error)
        SELECT id, :attempt, clock_timestamp() - make_interval(secs => :seconds), CAST(:seconds AS float),
               CAST(:status AS integer), :error
          FROM done
    ), recovered AS (
        UPDATE webhooks w SET failing_since = NULL FROM done
         WHERE w.id = done.webhook_id AND :outcome = 'delivered' AND w.failing_since IS NOT NULL
    ), failed AS (
        UPDATE webhooks w SET failing_since = clock_timestamp() FROM done
         WHERE w.id = done.webhook_id AND :outcome <> 'delivered' AND NOT :gone AND w.failing_since IS NULL
    ), disabled AS (
        UPDATE webhooks w
           SET disabled_at = clock_timestamp(), disabled_reason = CASE WHEN :gone THEN 'gone' ELSE 'failing' END,
               failing_since = coalesce(failing_since, clock_timestamp())
          FROM done
         WHERE w.id = done.webhook_id AND :outcome <> 'delivered' AND w.disabled_at IS NULL
           AND (:gone OR w.failing_since < clock_timestamp() - make_interval(secs => :lasting))
    )
    SELECT id FROM done
""")

TAKE_BACK = Statement("""
    WITH lost AS (
        SELECT id, lease_until FROM deliveries WHERE status = 'sending' AND lease_until <= clock_timestamp()
         ORDER BY lease_until LIMIT :batch FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE deliveries d
           SET status = CASE WHEN tries >= :most THEN 'failed' ELSE 'pending' END,
               ended_at = CASE WHEN tries >= :most THEN clock_timestamp() END,
               worker = NULL, lease_until = NULL, place = NULL, due_at = clock_timestamp()
          FROM lost WHERE d.id = lost.id
        RETURNING d.id, d.attempts, lost.lease_until
    )
    INSERT INTO delivery_attempts (delivery_id, number, started_at, seconds, error)
    SELECT id, attempts, lease_until, 0, 'its sender ended before it knew what came of it' FROM taken
        ON CONFLICT DO NOTHING
""")

BACKLOG = Statement(f"""
    {_OWED}
    SELECT coalesce(sum(due.count), 0)
      FROM owed
      JOIN webhooks w ON w.id = owed.webhook_id AND w.disabled_at IS NULL
     CROSS JOIN LATERAL (
           SELECT count(*) FROM (SELECT FROM deliveries d
                                  WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.due_at <= clock_timestamp()
                                  LIMIT CASE WHEN w.failing_since IS NULL THEN :places ELSE 1 END) AS head
           ) AS due
""")

OWE_EXPIRING = Statement("""
    WITH wanting AS MATERIALIZED (
        SELECT id, organization_id, environment, greatest(expiring_until, now()) AS since,
               now() + make_interval(secs => :ahead) AS until
          FROM webhooks WHERE disabled_at IS NULL AND 'execution.expiring' = ANY (events)
           FOR UPDATE SKIP LOCKED
    ), expiring AS MATERIALIZED (
        SELECT w.id AS webhook_id, w.environment, e.*
          FROM wanting w
         CROSS JOIN LATERAL (
               SELECT e.id AS execution_id, e.uuid, e.organization_id, e.status, e.reason, e.version_id, e.accepted_at,
                      e.ended_at, e.expires_at
                 FROM executions e
                WHERE e.ended_at IS NOT NULL AND e.erased_at IS NULL
                  AND e.expires_at >= w.since AND e.expires_at <= w.until
                  AND e.organization_id = w.organization_id AND coalesce(e.environment, 'default') = w.environment
                ORDER BY e.expires_at LIMIT :batch
               ) AS e
    ), told AS (
        UPDATE webhooks w
           SET expiring_until = CASE WHEN seen.count < :batch THEN seen.until ELSE seen.last END
          FROM (SELECT wanting.id, wanting.until, count(expiring.uuid), max(expiring.expires_at) AS last
                  FROM wanting LEFT JOIN expiring ON expiring.webhook_id = wanting.id
                 GROUP BY wanting.id, wanting.until) AS seen
         WHERE w.id = seen.id
    )
    INSERT INTO deliveries (organization_id, webhook_id, event, subject, data)
    SELECT organization_id, webhook_id, 'execution.expiring', uuid,
           json_build_object('id', execution_id, 'uuid', uuid, 'status', status, 'reason', reason,
                             'version', version_id, 'environment', environment, 'accepted_at', accepted_at,
                             'ended_at', ended_at, 'expires_at', expires_at)
      FROM expiring
        ON CONFLICT DO NOTHING
""")

BURY = Statement("""
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE created_at < clock_timestamp() - make_interval(secs => :days * 86400)
         ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")

_TOLD = "id, uuid, event, subject, status, attempts, due_at, created_at, ended_at"
LISTED = Statement(f"""
    SELECT {_TOLD} FROM deliveries
     WHERE webhook_id = :webhook AND (CAST(:status AS text) IS NULL OR status = :status)
       AND (CAST(:before AS bigint) IS NULL OR id < :before)
     ORDER BY id DESC LIMIT :limit
""")
FIND = Statement(f"SELECT {_TOLD} FROM deliveries WHERE webhook_id = :webhook AND uuid = :uuid")
ATTEMPTS = Statement("""
    SELECT number, started_at, seconds, status, error FROM delivery_attempts WHERE delivery_id = :id ORDER BY number
""")
RESEND = Statement("""
    UPDATE deliveries SET status = 'pending', due_at = clock_timestamp(), ended_at = NULL, tries = 0
     WHERE webhook_id = :webhook AND uuid = :uuid AND status <> 'sending'
""")
LATENESS = Statement(f"""
    {_OWED}
    SELECT coalesce(sum(waiting.count), 0) AS pending,
           CAST(greatest(0, coalesce(max(extract(epoch FROM clock_timestamp() - waiting.first)), 0)) AS float)
           AS oldest_seconds
      FROM owed
      JOIN webhooks w ON w.id = owed.webhook_id AND w.disabled_at IS NULL
     CROSS JOIN LATERAL (
           SELECT count(*), min(due_at) AS first
             FROM (SELECT due_at FROM deliveries d WHERE d.webhook_id = w.id AND d.status = 'pending'
                    ORDER BY due_at LIMIT 10000) AS head
           ) AS waiting
""")
