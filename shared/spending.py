"""What an organization has spent by day, key, model and pipeline, of single calls and of days that are summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from shared.statements import Statement

GROUPS = ("day", "key", "model", "pipeline")
#: Days after which the calls of executions whose reports have expired are kept as sums of their day.
FOLDED_DAYS = 2
#: Calls that are folded in one transaction.
BATCH = 5000


@dataclass(frozen=True, slots=True)
class Span:
    """Days of an organization, in UTC, both included."""

    organization_id: int
    first: date
    last: date


def summed(
    connection: Connection, span: Span, groups: Sequence[str] = (), *, limit: int = 1, offset: int = 0
) -> list[dict[str, Any]]:
    """Sums of the calls that were booked in a span, one for each group, in their order.

    Without groups it is the one sum of all. A cost is None where no call that it is for had a price.
    """
    names = [name for name in GROUPS if name in groups]
    chosen = ", ".join(f"{_GROUPED[name]} AS {name}" for name in names)
    query = _SUMMED.format(
        chosen=f"{chosen}, " if names else "",
        joined=" ".join(_JOINED[name] for name in names if name in _JOINED),
        grouped=f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)}" if names else "",
    )
    days = {"organization": span.organization_id, "first": span.first, "last": span.last}
    values = {**days, "limit": limit, "offset": offset}
    return [_told(row) for row in connection.execute(text(query), values).mappings()]


def today(connection: Connection) -> date:
    """The day it is in UTC."""
    found: date = _TODAY(connection).scalar_one()
    return found


def fold(connection: Connection) -> int:
    """Sum up old calls by day and delete them; returns how many, at most a batch."""
    return int(_FOLD(connection, {"days": FOLDED_DAYS, "batch": BATCH}).scalar_one())


def _told(row: RowMapping) -> dict[str, Any]:
    found = {name: value for name, value in row.items() if name in GROUPS}
    counters = ("calls", "answered", "prompt_tokens", "completion_tokens", "total_tokens", "unpriced_calls")
    found |= {name: int(row[name]) for name in counters}
    # What is nothing in the sum of calls without a price is not known.
    unknown = bool(row["unpriced_calls"])
    found["cost"] = _cost(row["cost"], unknown=unknown)
    for part in ("retried", "uncertain"):
        found[part] = {
            "calls": int(row[f"{part}_calls"]),
            "tokens": int(row[f"{part}_tokens"]),
            "cost": _cost(row[f"{part}_cost"], unknown=unknown),
        }
    return found


def _cost(found: Decimal, *, unknown: bool) -> Decimal | None:
    return None if unknown and not found else found


# The session's time zone is UTC, so a date is its day's first moment there.
_TODAY = Statement("SELECT current_date")

_CERTAIN, _RETRIED, _UNCERTAIN = "NOT uncertain", "NOT uncertain AND NOT kept", "uncertain"
#: The counters of a day, each as it is counted from calls.
_COUNTED = {
    "calls": f"count(*) FILTER (WHERE {_CERTAIN})",
    "answered": f"count(*) FILTER (WHERE {_CERTAIN} AND outcome = 'answered')",
    "prompt_tokens": f"coalesce(sum(prompt_tokens) FILTER (WHERE {_CERTAIN}), 0)",
    "completion_tokens": f"coalesce(sum(completion_tokens) FILTER (WHERE {_CERTAIN}), 0)",
    "total_tokens": f"coalesce(sum(total_tokens) FILTER (WHERE {_CERTAIN}), 0)",
    "cost": f"coalesce(sum(cost) FILTER (WHERE {_CERTAIN}), 0)",
    "retried_calls": f"count(*) FILTER (WHERE {_RETRIED})",
    "retried_tokens": f"coalesce(sum(total_tokens) FILTER (WHERE {_RETRIED}), 0)",
    "retried_cost": f"coalesce(sum(cost) FILTER (WHERE {_RETRIED}), 0)",
    "uncertain_calls": f"count(*) FILTER (WHERE {_UNCERTAIN})",
    "uncertain_tokens": f"coalesce(sum(total_tokens) FILTER (WHERE {_UNCERTAIN}), 0)",
    "uncertain_cost": f"coalesce(sum(cost) FILTER (WHERE {_UNCERTAIN}), 0)",
    "unpriced_calls": "count(*) FILTER (WHERE cost IS NULL"
    " AND (uncertain OR outcome = 'answered' OR total_tokens IS NOT NULL))",
}
_NAMES = ", ".join(_COUNTED)
_KEY = "organization_id, day, key_id, pipeline_id, model"
_SUMS = f"""SELECT u.organization_id, CAST(u.at AT TIME ZONE 'UTC' AS date) AS day, coalesce(u.key_id, 0) AS key_id,
               v.pipeline_id, u.model, {", ".join(f"{sql} AS {name}" for name, sql in _COUNTED.items())}
          FROM {{calls}} u JOIN versions v ON v.id = u.version_id {{where}}
         GROUP BY 1, 2, 3, 4, 5"""

# What an execution's report tells is read from its calls, so they stay for as long as that can be asked for.
_FOLD = Statement(f"""
    WITH old AS (
        SELECT id FROM usage u
         WHERE at < now() - make_interval(days => :days)
           AND (SELECT e.erased_at IS NULL FROM executions e WHERE e.id = u.execution_id) IS NOT TRUE
         ORDER BY at LIMIT :batch FOR UPDATE SKIP LOCKED
    ), folded AS (
        DELETE FROM usage u WHERE u.id = ANY (ARRAY(SELECT id FROM old)) RETURNING u.*
    ), kept AS (
        INSERT INTO usage_days AS d ({_KEY}, {_NAMES})
        {_SUMS.format(calls="folded", where="")} ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT ({_KEY}) DO UPDATE SET {", ".join(f"{name} = d.{name} + excluded.{name}" for name in _COUNTED)}
    )
    SELECT count(*) FROM folded
""")

_GROUPED = {"day": "s.day", "key": "nullif(s.key_id, 0)", "model": "s.model", "pipeline": "p.handle"}
_JOINED = {"pipeline": "JOIN pipelines p ON p.id = s.pipeline_id"}
_OF_CALLS = _SUMS.format(
    calls="usage",
    where="""WHERE u.organization_id = :organization
           AND u.at >= CAST(:first AS date) AND u.at < CAST(:last AS date) + 1""",
)
_SUMMED = f"""
    SELECT {{chosen}}{", ".join(f"coalesce(sum(s.{name}), 0) AS {name}" for name in _COUNTED)}
      FROM (
        {_OF_CALLS}
        UNION ALL
        SELECT {_KEY}, {_NAMES} FROM usage_days
         WHERE organization_id = :organization AND day BETWEEN CAST(:first AS date) AND CAST(:last AS date)
      ) AS s {{joined}}
    {{grouped}} LIMIT :limit OFFSET :offset
"""
