"""`/v2/usage`: what the caller's organization has spent."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response

from api import cursors, native, schemas
from api.endpoint import answer, endpoint
from shared import db, spending
from shared.errors import Fault, Invalid
from shared.keys import Caller
from shared.spending import Span

blueprint = Blueprint("spending", __name__, url_prefix="/v2")

#: Days that are told of where none are named, and at most.
USUAL_DAYS = 30
MOST_DAYS = 400


@blueprint.get("/usage")
@endpoint(scope="read", query=schemas.ListSpending(), answers={200: schemas.Spending()})
def show(caller: Caller, query: Mapping[str, Any]) -> Response:
    """Tell the calls, tokens and cost of the organization, by day, key, model or pipeline, and in total."""
    with db.autocommit() as connection:
        first, last = _days(query, spending.today(connection))
    groups, limit = query["group_by"], query["limit"]
    offset = cursors.read_id("usage", query["cursor"]) if "cursor" in query else 0
    span = Span(caller.organization_id, first, last)
    with db.autocommit() as connection:
        found = spending.summed(connection, span, groups, limit=limit + 1, offset=offset)
        (total,) = spending.summed(connection, span)
    more = len(found) > limit
    return answer({
        "from": first.isoformat(),
        "to": last.isoformat(),
        "group_by": [name for name in spending.GROUPS if name in groups],
        "groups": [_told(each) for each in found[:limit]],
        "total": _told(total),
        "next_cursor": cursors.write("usage", str(offset + limit)) if more else None,
    })


def _days(query: Mapping[str, Any], today: date) -> tuple[date, date]:
    last = query.get("last", today)
    first = query.get("first", last - timedelta(days=USUAL_DAYS - 1))
    if not timedelta() <= last - first < timedelta(days=MOST_DAYS):
        raise Invalid([Fault("from", f"must not be after `to`, nor {MOST_DAYS} days or more before it")])
    return first, last


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    told = {**found, "cost": native.dollars(found["cost"])}
    if "day" in found:
        told["day"] = found["day"].isoformat()
    for part in ("retried", "uncertain"):
        told[part] = {**found[part], "cost": native.dollars(found[part]["cost"])}
    return told
