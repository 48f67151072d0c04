"""`/v2/executions/{execution}/layers`: what ran inside of maps, loops and other pipelines, a page at a time."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from api import cursors, native, schemas
from api.endpoint import answer, endpoint
from api.routes.executions import named
from shared import db, reports
from shared.keys import Caller

blueprint = Blueprint("layers", __name__, url_prefix="/v2/executions")


@blueprint.get("/<execution>/layers")
@endpoint(
    scope="read",
    query=schemas.ListInnerLayers(),
    answers={200: schemas.InnerLayers(), 404: schemas.Problem(), 410: schemas.Problem()},
)
def list_inner_layers(execution: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the layers inside of an execution's layers whose results are recorded, by path."""
    after = cursors.read("layers", query["cursor"]) if "cursor" in query else ""
    limit = query["limit"]
    with db.autocommit() as connection:
        found = reports.layers_inside(
            connection,
            caller.organization_id,
            named(execution),
            under=query["under"],
            after=after,
            limit=limit + 1,
        )
    page = found[:limit]
    cursor = cursors.write("layers", page[-1].path) if len(found) > limit else None
    return answer({"layers": [native.layer(each) for each in page], "next_cursor": cursor})
