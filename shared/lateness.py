"""What should have happened by now and has not: read at each scrape, by a look at the head of an index."""

from typing import Any

from sqlalchemy import Connection

from shared.statements import Statement


def now(connection: Connection) -> dict[str, Any]:
    """Seconds that the first deadline is over and the first expired content undeleted, and Postgres' time.

    `deadline_seconds` and `erasure_seconds` are 0 where nothing is late; `epoch` is in seconds since 1970.
    """
    return dict(_NOW(connection).mappings().one())


_NOW = Statement("""
    SELECT CAST(extract(epoch FROM clock_timestamp()) AS float) AS epoch,
           CAST(greatest(0, extract(epoch FROM clock_timestamp() - (
               SELECT deadline_at FROM executions WHERE ended_at IS NULL
                ORDER BY deadline_at LIMIT 1))) AS float) AS deadline_seconds,
           CAST(greatest(0, extract(epoch FROM clock_timestamp() - (
               SELECT expires_at FROM executions WHERE ended_at IS NOT NULL AND erased_at IS NULL
                ORDER BY expires_at LIMIT 1))) AS float) AS erasure_seconds
""")
