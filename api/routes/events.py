"""`/v2/executions/{execution}/events`: what happens to an execution, while it happens."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from api import accepting, context, following, schemas, sse
from api.endpoint import Text, endpoint
from api.routes import executions
from shared.errors import Fault, Invalid
from shared.keys import Caller

blueprint = Blueprint("events", __name__, url_prefix="/v2")

_LAST_EVENT_ID = "Last-Event-ID"
_STREAM = Text(
    "Events until the execution has ended.",
    sse.CONTENT_TYPE,
    """retry: 2000

event: accepted
id: 0-0
data: {"execution":"d3df7c30-676a-4c77-aed6-c28a24e02324","time":"2026-11-21T09:00:00.120481Z"}

event: layer_ended
id: 1795251600950-0
data: {"execution":"d3df7c30-676a-4c77-aed6-c28a24e02324","time":"2026-11-21T09:00:00.950000Z",\
"path":"reviews/0","state":"passed","reason":null,"seconds":0.811,"calls":1,\
"usage":{"prompt_tokens":21,"completion_tokens":60,"total_tokens":81},"attempt":1}

""",
)


@blueprint.get("/executions/<execution>/events")
@endpoint(
    scope="read",
    query=schemas.Resume(),
    headers={_LAST_EVENT_ID: "The `id` of the last event that you have had; it goes on after that."},
    answers={200: _STREAM, 204: "You have had everything; do not come back.", 410: schemas.Problem()},
)
def follow(execution: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """Follow an execution: server-sent events until it has ended.

    `accepted`, `started`, `layer_started`, `layer_ended`, `ended`, each with `execution` and `time` in its data; and
    `delta`, the text of an answer as it comes, where a layer streams. A `snapshot` with the whole report stands for all
    before it, wherever single events cannot be had any more.
    """
    report = accepting.find(caller, executions.named(execution))
    last = _last(query)
    if last == following.LAST:
        if not report.ended:
            raise Invalid([Fault(_LAST_EVENT_ID, "is the end of an execution that has not ended")])
        return Response(status=204)
    found = following.Following(context.this().watchers, caller.organization_id, report, last)
    return sse.response(found.frames(sse.left(request.environ)))


def _last(query: Mapping[str, Any]) -> str | None:
    """The id of the last event that the client has had; the header is the newer where both are given."""
    found = request.headers.get(_LAST_EVENT_ID, "").strip()
    if not found:
        given: str | None = query.get("last_event_id")
        return given
    if not schemas.EVENT_ID.match(found):
        raise Invalid([Fault(_LAST_EVENT_ID, "is not the id of an event")])
    return found
