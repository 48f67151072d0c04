"""`/v2/executions/{execution}/explain`: why an execution waits."""

from flask import Blueprint, Response

from api import native, schemas
from api.endpoint import answer, endpoint
from api.routes.executions import named
from shared import db, explanations
from shared.keys import Caller

blueprint = Blueprint("explain", __name__, url_prefix="/v2/executions")


@blueprint.get("/<execution>/explain")
@endpoint(scope="read", answers={200: schemas.Explanation(), 410: schemas.Problem()})
def explain(execution: str, caller: Caller) -> Response:
    """Explain why an execution waits: the first thing that must change for it to start, its place, and how long yet.

    What comes before it are the executions of lower rank in the queues that the workers of its queue serve. The
    estimate is its place divided by the rate at which the last 200 executions of these queues ended within five
    minutes, if it was queued all that time; else its place, without the free slots, times their mean run time, divided
    by the slots; null where none has ended. One that waits for a time is told the seconds until then. Whoever has
    little queued goes before who has much, so later arrivals can come before it.
    """
    with db.autocommit() as connection:
        return answer(native.explanation(explanations.explain(connection, caller.organization_id, named(execution))))
