"""Streams of threads: a token for who may follow one, and what is said on it."""

from collections.abc import Mapping
from uuid import UUID

from flask import Blueprint, Response, request

from api import context, schemas, sse, streams
from api.auth import SCHEME
from api.endpoint import Text, answer, described, endpoint
from shared import stream_tokens
from shared.errors import NotFound, TooMany, Unauthorized
from shared.keys import Caller
from shared.stream_tokens import Grant

blueprint = Blueprint("streams", __name__)

_LAST_EVENT_ID = "Last-Event-ID"
#: The id of no event: what comes after it cannot be told.
_UNKNOWN = "1-0"
#: How long a browser remembers what a preflight has told it, in seconds.
_PREFLIGHT_SECONDS = 7200
_STREAM = Text(
    "Events until the token's time is over.",
    sse.CONTENT_TYPE,
    """retry: 1000

event: reset
id: 1795251600950-0
data: {"kind":"reset","runId":"d3df7c30-676a-4c77-aed6-c28a24e02324","channel":"default","segment":0,"seq":0}

event: token
id: 1795251601007-0
data: {"kind":"token","runId":"d3df7c30-676a-4c77-aed6-c28a24e02324","channel":"default","segment":0,"seq":1,\
"text":"Once"}

""",
)


@blueprint.post("/v2/threads/<thread>/stream-token")
@endpoint(
    scope="read", answers={200: schemas.StreamToken(), 409: "This server has no STRATA_SECRET_KEYS to sign with."}
)
def mint(thread: str, caller: Caller) -> Response:
    """Make a token that lets its bearer follow one thread, for minutes and without a key.

    Hand it to a browser. The thread need not be there yet: connect first, then execute on it, and nothing is missed.
    """
    found = streams.mint(caller.organization_id, _uuid(thread))
    return answer({"token": found["token"], "expires_at": found["expiresAt"], "url": found["url"]})


@blueprint.get("/stream/<thread>", provide_automatic_options=False)
@described(
    scope=None,
    headers={_LAST_EVENT_ID: "The `id` of the last event that you have had; it goes on after that."},
    answers={
        200: _STREAM,
        401: schemas.StreamRefused(),
        429: schemas.StreamRefused(),
    },
)
def follow(thread: str) -> Response:
    """Follow a thread with a stream token: server-sent events of what its executions' models say.

    `channel`, as often as you like, narrows it to these channels. Events are told in docs/streams.md.
    """
    try:
        grant = _grant(thread)
        leave = context.this().open_streams.enter(grant.organization_id)
    except Unauthorized as error:
        return answer({"error": str(error)}, 401, {"WWW-Authenticate": "Bearer"})
    except TooMany as error:
        return answer({"error": str(error)}, 429, {"Retry-After": str(error.retry_after_seconds)})
    found = streams.Stream(context.this().watchers, grant, _last(), request.args.getlist("channel"))
    response = sse.response(found.frames(sse.left(request.environ)))
    response.call_on_close(leave)
    return response


@blueprint.route("/stream/<thread>", methods=["OPTIONS"], provide_automatic_options=False)
def preflight(**_: str) -> Response:
    """Say what a page of another origin may send."""
    return Response(status=204)


@blueprint.after_request
def let_pages_read(response: Response) -> Response:
    """Let pages of the origins that the settings name read what is answered here."""
    if not request.path.startswith("/stream/"):
        return response
    response.headers.update(_permission(context.this().settings.cors_origins))
    response.headers.add("Vary", "Origin")
    return response


def _permission(allowed: tuple[str, ...]) -> Mapping[str, str]:
    origin = request.headers.get("Origin", "")
    if not origin or not ({"*", origin} & set(allowed)):
        return {}
    headers = {"Access-Control-Allow-Origin": origin}
    if request.method == "OPTIONS":
        headers["Access-Control-Allow-Methods"] = "GET"
        headers["Access-Control-Allow-Headers"] = f"Authorization, {_LAST_EVENT_ID}"
        headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
    return headers


def _grant(thread: str) -> Grant:
    """What the request's token grants, which must be this thread."""
    given = request.headers.get("Authorization", "")
    token = given[len(SCHEME) :].strip() if given[: len(SCHEME)].lower() == SCHEME else ""
    grant = stream_tokens.read(context.this().settings.secret_keys, token)
    if str(grant.thread) != thread.lower():
        raise Unauthorized("the stream token is for another thread")
    return grant


def _last() -> str | None:
    """The id of the last event that the client has had, None where it begins."""
    given = request.headers.get(_LAST_EVENT_ID, "").strip()
    if not given:
        return None
    return given if schemas.EVENT_ID.match(given) and given != "ended" else _UNKNOWN


def _uuid(thread: str) -> UUID:
    try:
        return UUID(thread)
    except ValueError as error:
        raise NotFound("thread") from error
