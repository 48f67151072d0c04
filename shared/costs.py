"""What the calls of an execution came to, for its report: of each of its layers, and of all of them.

What ran inside of a layer counts for the outermost one around it. Intents that nobody will record are uncertain calls
before a duty has booked them as such.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from shared import ledger
from shared.plan import Usage
from shared.report import LayerReport, PropertyReport, Spent, Uncertain
from shared.statements import Statement

#: True of an execution's row `e` with its `recorded` results where they do not tell all of its calls: some were
#: answered in vain, or cut, or told by a result that was written over.
BESIDE = f"""((SELECT count(*) <> recorded.calls OR coalesce(bool_or(uncertain OR NOT kept), false)
              FROM usage WHERE execution_id = e.id)
            OR EXISTS (SELECT FROM calls c WHERE execution_id = e.id AND {ledger.CUT}))"""


def by_layer(connection: Connection, execution_id: int) -> dict[str, Spent]:
    """What was spent on each of an execution's outermost layers, by path."""
    return {row.path: _spent(row) for row in _BY_LAYER(connection, {"id": execution_id})}


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


def _spent(row: Row[Any]) -> Spent:
    return Spent(
        calls=row.spent_calls,
        usage=Usage(row.spent_prompt_tokens, row.spent_completion_tokens, row.spent_total_tokens),
        cost=row.spent_cost,
        retried_usage=Usage(row.retried_prompt_tokens, row.retried_completion_tokens, row.retried_total_tokens),
        uncertain=Uncertain(row.uncertain_calls, row.uncertain_total_tokens, row.uncertain_cost),
    )


_SENT = f"""SELECT path, prompt_tokens, completion_tokens, total_tokens, cost, kept, uncertain
              FROM usage WHERE execution_id = e.id
             UNION ALL
            SELECT path, prompt_tokens, completion_tokens, prompt_tokens + completion_tokens, cost, false, true
              FROM calls c WHERE execution_id = e.id AND {ledger.CUT}"""
_PARTS = {"spent": "NOT uncertain", "retried": "NOT uncertain AND NOT kept", "uncertain": "uncertain"}
_COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens")
_SUMS = ", ".join(
    f"{sql} AS {part}_{name}"
    for part, which in _PARTS.items()
    for name, sql in {
        "calls": f"count(*) FILTER (WHERE {which})",
        **{each: f"CAST(coalesce(sum({each}) FILTER (WHERE {which}), 0) AS bigint)" for each in _COUNTERS},
        "cost": f"sum(cost) FILTER (WHERE {which})",
    }.items()
)
_BY_LAYER = Statement(f"""
    SELECT spent.*
      FROM executions e
     CROSS JOIN LATERAL (SELECT coalesce(substring(path FROM '^[^/]+/[^/[]+'), path) AS path, {_SUMS}
                           FROM ({_SENT}) AS sent GROUP BY 1) AS spent
     WHERE e.id = :id
""")
_BY_MODEL = Statement("""
    SELECT model, kept, CAST(sum(prompt_tokens) AS bigint) AS prompt_tokens,
           CAST(sum(completion_tokens) AS bigint) AS completion_tokens,
           CAST(sum(total_tokens) AS bigint) AS total_tokens,
           CASE WHEN bool_and(cost IS NOT NULL) THEN sum(cost) END AS cost
      FROM usage WHERE execution_id = :id AND NOT uncertain AND prompt_tokens IS NOT NULL
     GROUP BY model, kept ORDER BY model, kept
""")
