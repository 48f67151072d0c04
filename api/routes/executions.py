"""`/v2/executions`, and the executions of a version: start, list, read, cancel."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from api import accepting, context, cursors, native, parsing, rehearsing, schemas, starting
from api.endpoint import answer, endpoint
from shared import db, executions, reports
from shared.errors import Fault, Invalid, NotFound
from shared.keys import Caller

blueprint = Blueprint("executions", __name__, url_prefix="/v2")

_ORDER = schemas.Order()
#: How long a cancel waits for the worker to confirm it, in seconds.
CANCEL_SECONDS = 2.0


@blueprint.post("/pipelines/<handle>/versions/<version>/executions")
@endpoint(
    scope="execute",
    body=_ORDER,
    query=schemas.Start(),
    headers=starting.HEADERS,
    answers={**starting.ANSWERS, 200: (schemas.Execution(), schemas.Rehearsal())},
    example={"inputs": {"film": "Metropolis"}, "tags": {"client": "acme"}},
)
def start(handle: str, version: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """Accept an execution: 202, or 200 where `Prefer: wait` saw its end.

    With `dry_run=true` nothing is written and nobody asked: 200 tells what it would do, all that is wrong, and bounds
    on its calls, tokens and cost.
    """
    parsed = parsing.body(_ORDER)
    order = native.order(handle, version, parsed.values)
    if query["dry_run"]:
        return rehearsing.rehearsed(caller, order, parsed.faults)
    return starting.started(caller, order, parsed.faults)


@blueprint.get("/executions")
@endpoint(
    scope="read",
    query=schemas.ListExecutions(),
    answers={200: schemas.Executions(), 404: schemas.Problem()},
)
def list_executions(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List executions, newest first."""
    before = cursors.read_id("executions", query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    with db.autocommit() as connection:
        found = reports.listed(connection, caller.organization_id, _filters(query), before=before, limit=limit + 1)
    page = found[:limit]
    more = len(found) > limit
    cursor = cursors.write("executions", str(page[-1]["id"])) if more else None
    return answer({"executions": page, "next_cursor": cursor})


@blueprint.get("/executions/<execution>")
@endpoint(
    scope="read",
    headers={**starting.PREFER, "If-None-Match": "An ETag; 304 where nothing has changed since."},
    answers={200: schemas.Execution(), 304: "Nothing has changed.", 410: schemas.Problem()},
)
def show(execution: str, caller: Caller) -> Response:
    """Report an execution, by uuid or id: the document so far, every property and layer."""
    report = accepting.find(caller, named(execution))
    seconds = starting.wait_seconds()
    if seconds and not report.ended:
        accepting.wait(report, seconds)
        report = accepting.find(caller, report.id)
    response = answer(native.answer(report), headers=starting.applied(seconds))
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.post("/executions/<execution>/cancel")
@endpoint(
    scope="execute",
    answers={200: schemas.Execution(), 202: schemas.Cancelling(), 409: schemas.Problem(), 410: schemas.Problem()},
)
def cancel(execution: str, caller: Caller) -> Response:
    """Cancel an execution: 200 once it is, 202 while its worker has not confirmed, 409 where it has ended."""
    report = accepting.find(caller, named(execution))
    with context.this().waiters.expecting(report.uuid) as bell:
        status = _cancelled(caller, report.uuid)
        if status == "cancelling" and bell.wait(CANCEL_SECONDS):
            # What has ended another way before its worker heard of it stands, and is told as a conflict.
            status = _cancelled(caller, report.uuid)
    if status == "cancelling":
        return answer({"status": status}, 202)
    return answer(native.answer(accepting.find(caller, report.id)))


def _cancelled(caller: Caller, uuid: UUID) -> str:
    keep = context.this().settings.result_seconds
    with db.transaction() as connection:
        return executions.cancel(connection, caller.organization_id, uuid, keep_seconds=keep)


def named(text: str) -> int | UUID:
    """The integer id or uuid in a path; NotFound where it is neither."""
    try:
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else UUID(text)
    except ValueError as error:
        raise NotFound("execution") from error


def _filters(query: Mapping[str, Any]) -> reports.Filters:
    if "version" in query and "pipeline" not in query:
        raise Invalid([Fault("version", "is of use only with pipeline")])
    return reports.Filters(
        status=query.get("status"),
        pipeline=query.get("pipeline"),
        version=query.get("version"),
        tags=_pairs("tag", query),
        metadata=_pairs("metadata", query),
        end_user=query.get("end_user"),
        thread=query.get("thread"),
        accepted_after=query.get("accepted_after"),
        accepted_before=query.get("accepted_before"),
    )


def _pairs(name: str, query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [tuple(text.partition(":")[::2]) for text in query.get(name, ())]
    wrong = [
        Fault(f"{name}[{index}]", "must be key:value")
        for index, pair in enumerate(query.get(name, ()))
        if ":" not in pair
    ]
    if wrong:
        raise Invalid(wrong)
    return tuple((str(key), str(value)) for key, value in found)
