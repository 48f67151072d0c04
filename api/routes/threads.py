"""`/v2/threads`: conversations: list, read, fork, delete."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, Response

from api import context, cursors, parsing, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, thread_events, threads
from shared.errors import NotFound
from shared.keys import Caller

blueprint = Blueprint("threads", __name__, url_prefix="/v2/threads")

_FORK = schemas.ForkThread()


@blueprint.get("")
@endpoint(scope="read", query=schemas.Page(), answers={200: schemas.Threads()})
def list_threads(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List threads, newest first."""
    before = cursors.read_id("threads", query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    with db.autocommit() as connection:
        found = threads.listed(connection, caller.organization_id, before=before, limit=limit + 1)
    cursor = cursors.write("threads", str(found[limit - 1][0])) if len(found) > limit else None
    return answer({"threads": [each for _, each in found[:limit]], "next_cursor": cursor})


@blueprint.get("/<thread>")
@endpoint(scope="read", answers={200: schemas.Thread()})
def show_thread(thread: str, caller: Caller) -> Response:
    """Tell of a thread: its channels, what is on them, and whether something goes on."""
    with db.autocommit() as connection:
        return answer(threads.find(connection, caller.organization_id, _named(thread)))


@blueprint.get("/<thread>/messages")
@endpoint(scope="read", query=schemas.ListMessages(), answers={200: schemas.Messages()})
def list_messages(thread: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """List what was said, oldest first."""
    after = cursors.read_id("messages", query["cursor"]) if "cursor" in query else 0
    limit = query["limit"]
    with db.autocommit() as connection:
        found = threads.messages(
            connection,
            caller.organization_id,
            _named(thread),
            channel=query.get("channel"),
            after=after,
            limit=limit + 1,
        )
    cursor = cursors.write("messages", str(found[limit - 1]["id"])) if len(found) > limit else None
    return answer({"messages": found[:limit], "next_cursor": cursor})


@blueprint.post("/<thread>/fork")
@endpoint(
    scope="execute",
    body=_FORK,
    answers={201: schemas.Thread(), 409: schemas.Problem()},
    example={"until": 42},
)
def fork_thread(thread: str, caller: Caller) -> Response:
    """Begin a new thread with what was said up to a message; the original stays as it is."""
    body = parsing.body(_FORK).checked()
    uuid, new = _named(thread), body.get("thread") or uuid4()
    with db.transaction() as connection:
        organization = caller.organization_id
        threads.fork(connection, organization, uuid, until=body["until"], new=new, channel=body.get("channel"))
        audit.note(connection, caller, "thread.forked", str(new), of=str(uuid), until=body["until"])
        found = threads.find(connection, organization, new)
    place = f"{context.this().settings.public_url.rstrip('/')}/v2/threads/{new}"
    return answer(found, 201, {"Location": place})


@blueprint.delete("/<thread>")
@endpoint(scope="execute", answers={204: "It is gone, with all that was said on it.", 409: schemas.Problem()})
def delete_thread(thread: str, caller: Caller) -> Response:
    """Delete a thread and all that was said on it; 409 while executions on it have not ended."""
    uuid = _named(thread)
    with db.transaction() as connection:
        threads.delete(connection, caller.organization_id, uuid)
        audit.note(connection, caller, "thread.deleted", str(uuid))
        db.after_commit(thread_events.forget, caller.organization_id, uuid)
    return Response(status=204)


def _named(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound("thread") from error
