"""What the calls of an execution came to, for its report: of each of its layers, and of all of them.

What ran inside of a layer counts for the outermost one around it. Intents that nobody will record are uncertain calls
before a duty has booked them as such.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from shared import ledger
from shared.plan import Usage
from shared.report import LayerReport, PropertyReport, Spent, Uncertain
from shared.statements import Statement

_SENT = f"""SELECT path, prompt_tokens, completion_tokens, total_tokens, cost, kept, uncertain
                          FROM usage WHERE execution_id = e.id
                         UNION ALL
                        SELECT path, prompt_tokens, completion_tokens, prompt_tokens + completion_tokens, cost, false,
                               true
                          FROM calls c WHERE execution_id = e.id AND {ledger.CUT}"""
_PARTS = {"spent": "NOT uncertain", "retried": "NOT uncertain AND NOT kept", "uncertain": "uncertain"}
_COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens")
# A cost goes as text, or JSON would make a float of it.
_SUMS = ", ".join(
    f"{sql} AS {part}_{name}"
    for part, which in _PARTS.items()
    for name, sql in {
        "calls": f"count(*) FILTER (WHERE {which})",
        **{counter: f"coalesce(sum({counter}) FILTER (WHERE {which}), 0)" for counter in _COUNTERS},
        "cost": f"CAST(sum(cost) FILTER (WHERE {which}) AS text)",
    }.items()
)
#: What is read with an execution's row `e`.
COLUMNS = f"""(SELECT json_agg(s) FROM (
                SELECT coalesce(substring(path FROM '^[^/]+/[^/[]+'), path) AS path, {_SUMS}
                  FROM ({_SENT}) AS sent GROUP BY 1) AS s) AS spent"""


def by_layer(found: Iterable[Mapping[str, Any]] | None) -> dict[str, Spent]:
    """What was spent by path, of the column that is read."""
    return {row["path"]: _spent(row) for row in found or ()}


def told(properties: Iterable[PropertyReport], spent: Mapping[str, Spent]) -> tuple[PropertyReport, ...]:
    """The properties, with what was spent on each of their layers."""
    return tuple(replace(each, layers=tuple(_layer(layer, spent) for layer in each.layers)) for each in properties)


class Booked(NamedTuple):
    """What the answers of one model came to, those that were `kept` or those that were asked for again.

    `cost` is US dollars, None where the price of any of them is not known.
    """

    model: str
    kept: bool
    usage: Usage
    cost: Decimal | None


def by_model(connection: Connection, execution_id: int) -> list[Booked]:
    """What the calls of an execution came to by model, uncertain ones left out."""
    return [
        Booked(row.model, row.kept, Usage(row.prompt_tokens, row.completion_tokens, row.total_tokens), row.cost)
        for row in _BY_MODEL(connection, {"id": execution_id})
    ]


def _layer(layer: LayerReport, spent: Mapping[str, Spent]) -> LayerReport:
    found = spent.get(layer.path)
    if found is None:
        return layer
    # Of a layer that nothing was counted for, there is no usage to tell.
    usage = found.usage if found.usage != Usage() or layer.usage else None
    return replace(layer, usage=usage, calls=found.calls + found.uncertain.calls, spent=found)


def _spent(row: Mapping[str, Any]) -> Spent:
    return Spent(
        calls=row["spent_calls"],
        usage=_usage(row, "spent"),
        cost=_cost(row["spent_cost"]),
        retried_usage=_usage(row, "retried"),
        uncertain=Uncertain(row["uncertain_calls"], row["uncertain_total_tokens"], _cost(row["uncertain_cost"])),
    )


def _usage(row: Mapping[str, Any], part: str) -> Usage:
    return Usage(*(row[f"{part}_{counter}"] for counter in _COUNTERS))


def _cost(found: str | None) -> Decimal | None:
    return None if found is None else Decimal(found)


_BY_MODEL = Statement("""
    SELECT model, kept, CAST(sum(prompt_tokens) AS bigint) AS prompt_tokens,
           CAST(sum(completion_tokens) AS bigint) AS completion_tokens,
           CAST(sum(total_tokens) AS bigint) AS total_tokens,
           CASE WHEN bool_and(cost IS NOT NULL) THEN sum(cost) END AS cost
      FROM usage WHERE execution_id = :id AND NOT uncertain AND prompt_tokens IS NOT NULL
     GROUP BY model, kept ORDER BY model, kept
""")
