"""Periodic duties: each runs once per time slot, however many processes try, and is safe to run twice."""

from sqlalchemy import Connection

from shared.statements import Statement


def take(connection: Connection, duty: str, *, period_seconds: int) -> bool:
    """Take a duty for the current slot of its period; False where somebody has. The slots are the database's time."""
    return _TAKE(connection, {"duty": duty, "period": period_seconds}).first() is not None


# The plain read in front keeps the many who come second from queueing for the row's lock.
_TAKE = Statement("""
    INSERT INTO duties AS d (duty, slot)
    SELECT :duty, slot FROM (SELECT CAST(floor(extract(epoch FROM clock_timestamp()) / :period) AS bigint) AS slot) AS s
     WHERE NOT EXISTS (SELECT FROM duties WHERE duty = :duty AND duties.slot >= s.slot)
    ON CONFLICT (duty) DO UPDATE SET slot = excluded.slot WHERE d.slot < excluded.slot
    RETURNING d.slot
""")
