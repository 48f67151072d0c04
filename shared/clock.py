"""How a time is written. What time it is, only Postgres says."""

from datetime import UTC, datetime


def rfc3339(moment: datetime | None) -> str | None:
    """A time in UTC as RFC 3339 with microseconds and `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
