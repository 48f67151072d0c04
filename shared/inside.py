"""What the results of layers tell, those inside of other layers too, which stand under the outermost of these."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row

from shared import kinds
from shared.plan import Layer, Plan, Reference, Usage
from shared.report import LayerReport, Spent
from shared.statements import Statement

#: How many results from inside of layers a report shows.
MOST = 500

#: A layer, or a property that has a result of its own; everything else is inside of a layer.
_OUTER = "'^[^/]+(/[^/[]+)?$'"
_OF_LAYER = """path, attempt, passed, skipped, output, error, reason, usage, calls, ended_at,
                       CAST(cost AS text) AS cost, details,
                       ended_at - make_interval(secs => seconds) AS started_at"""
_RECORDED = "execution_id = e.id AND reason IS DISTINCT FROM 'parked'"
#: What an execution's row `e` is read with: its `layers` as JSON, whether any is `deeper`, inside of another, and how
#: many `calls` were sent for all of them.
JOIN = f"""CROSS JOIN LATERAL (
                SELECT json_agg(l) FILTER (WHERE l.outer) AS layers, bool_or(NOT l.outer) AS deeper,
                       coalesce(sum(l.calls), 0) AS calls
                  FROM (SELECT {_OF_LAYER}, path ~ {_OUTER} AS outer FROM layer_results WHERE {_RECORDED}) AS l
               ) AS recorded"""
_INNER = Statement(f"""
    SELECT (SELECT json_agg(l) FROM (
                SELECT {_OF_LAYER} FROM layer_results WHERE {_RECORDED} AND path !~ {_OUTER}
                 ORDER BY passed, path LIMIT {MOST}) AS l) AS layers,
           (SELECT json_agg(n) FROM (
                SELECT substring(path FROM '^[^/]+/[^/[]+') AS parent, count(*),
                       CASE WHEN NOT passed THEN 'failed' WHEN skipped THEN 'skipped' ELSE 'passed' END AS state
                  FROM layer_results WHERE {_RECORDED} AND path !~ {_OUTER} GROUP BY 1, 3) AS n) AS states
      FROM executions e WHERE e.id = :id
""")
_LISTED = Statement(f"""
    SELECT to_json(l) AS layer
      FROM executions e
     CROSS JOIN LATERAL (SELECT {_OF_LAYER} FROM layer_results
                          WHERE {_RECORDED} AND path !~ {_OUTER} AND starts_with(path, :under) AND path > :after
                          ORDER BY path LIMIT :limit) AS l
     WHERE e.id = :id
""")

#: Finds the plan that was pinned for a pipeline.
Pinned = Callable[[Reference], Plan | None]
_OUTERMOST = re.compile(r"[^/]+/[^/\[]+")
_PLACE = re.compile(r"(\d+)")


def results(connection: Connection, row: Row[Any], plan: Plan, pinned: Pinned) -> dict[str, LayerReport]:
    """The reports of what is recorded of an execution, by path: properties that were skipped, and layers.

    Those inside of others are read by themselves, where there are any.
    """
    inner: dict[str, list[LayerReport]] = {}
    counted: dict[str, dict[str, int]] = {}
    deeper = _INNER(connection, {"id": row.id}).first() if row.deeper else None
    if deeper is not None:
        for each in sorted(deeper.layers or (), key=lambda each: _in_order(each["path"])):
            layer = layer_at(plan, each["path"], pinned)
            if layer is not None:
                inner.setdefault(_outermost(each["path"]), []).append(_report(each, layer))
        for each in deeper.states or ():
            counted.setdefault(each["parent"], {})[each["state"]] = each["count"]
    reports = {}
    for each in row.layers or ():
        path = each["path"]
        reports[path] = _report(each, layer_at(plan, path, pinned), inner.get(path, ()), counted.get(path, {}))
    return reports


def listed(
    connection: Connection, execution_id: int, plan: Plan, pinned: Pinned, *, under: str, after: str, limit: int
) -> list[LayerReport]:
    """The results of the layers inside of layers, by path, from after one on."""
    values = {"id": execution_id, "under": under, "after": after, "limit": limit}
    rows = [row.layer for row in _LISTED(connection, values)]
    return [_report(each, layer_at(plan, each["path"], pinned)) for each in rows]


def layer_at(plan: Plan, path: str, pinned: Pinned) -> Layer | None:
    """The layer of a plan that runs under a path, inside of others and of other pipelines too; None without one."""
    name, _, rest = path.partition("/")
    each = plan.property(name)
    return _within(each.layers, rest, pinned) if each is not None and rest else None


def _within(layers: Iterable[Layer], path: str, pinned: Pinned) -> Layer | None:
    segment, _, rest = path.partition("/")
    wanted = segment.partition("[")[0]
    layer = next((each for each in layers if each.segment == wanted), None)
    if layer is None or not rest:
        return layer
    reference = kinds.pipeline(layer.settings)
    if reference is None and layer.layers:
        return _within(layer.layers, rest, pinned)
    if reference is None:
        return _piece(layer, rest, pinned)
    plan = pinned(reference)
    return layer_at(plan, rest, pinned) if plan is not None else None


def _piece(layer: Layer, path: str, pinned: Pinned) -> Layer | None:
    """What stands for a piece of a layer's own work; or the layer of a pipeline that runs in it."""
    found = kinds.piece(layer.settings, path)
    if found is None:
        return None
    piece, rest = found
    if not rest:
        return Layer(path, None, piece.kind, {}, layer.timeout_seconds)
    plan = pinned(piece.pipeline) if piece.pipeline is not None else None
    return layer_at(plan, rest, pinned) if plan is not None else None


def _outermost(path: str) -> str:
    found = _OUTERMOST.match(path)
    return found[0] if found else path


def _in_order(path: str) -> list[tuple[int, str]]:
    """A key that puts the tenth behind the ninth."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _PLACE.split(path)]


def _report(
    row: Mapping[str, Any],
    layer: Layer | None,
    inner: Sequence[LayerReport] = (),
    inner_states: Mapping[str, int] | None = None,
) -> LayerReport:
    state = "skipped" if row["skipped"] else "passed" if row["passed"] else "failed"
    return LayerReport(
        id=layer.id if layer else 0,
        path=row["path"],
        name=layer.name if layer else None,
        kind=layer.kind if layer else "",
        state=state,
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]),
        output=row["output"],
        error=row["error"],
        reason=row["reason"],
        usage=Usage(**row["usage"]) if row["usage"] else None,
        calls=row["calls"],
        attempt=row["attempt"],
        # What was retried or cut is told of the outermost layer.
        spent=Spent(row["calls"], Usage(**row["usage"] or {}), Decimal(row["cost"]) if row["cost"] else None),
        details=row["details"] or {},
        inner=tuple(inner),
        inner_states=inner_states or {},
    )
