"""`/v2/executions`, and the executions of a version: start, list, read, cancel."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from api import accepting, context, cursors, native, parsing, schemas
from api.endpoint import answer, endpoint
from shared import db, executions, reports
from shared.errors import Fault, Invalid, NotFound
from shared.keys import Caller

blueprint = Blueprint("executions", __name__, url_prefix="/v2")

_ORDER = schemas.Order()
#: The longest that `Prefer: wait` waits, in seconds.
LONGEST_WAIT_SECONDS = 60
#: How long a cancel waits for the worker to confirm it, in seconds.
CANCEL_SECONDS = 2.0
_PREFER = {"Prefer": "`wait=30`: answer when the execution has ended, at the latest after so many seconds, at most 60."}


@blueprint.post("/pipelines/<handle>/versions/<version>/executions")
@endpoint(
    scope="execute",
    body=_ORDER,
    headers=_PREFER,
    answers={202: schemas.Execution(), 200: schemas.Execution()},
    example={"inputs": {"film": "Metropolis"}, "tags": {"client": "acme"}},
)
def start(handle: str, version: str, caller: Caller) -> Response:
    """Accept an execution: 202, or 200 where `Prefer: wait` saw its end."""
    parsed = parsing.body(_ORDER)
    order = native.order(handle, version, parsed.values)
    seconds = _wait_seconds()
    if seconds:
        report = accepting.accept_and_wait(caller, order, seconds, parsed.faults)
    else:
        report = accepting.accept(caller, order, parsed.faults)
    headers = {"Location": f"{_base()}/v2/executions/{report.uuid}", **_applied(seconds)}
    return answer(native.answer(report), 200 if report.ended else 202, headers)


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
    headers={**_PREFER, "If-None-Match": "An ETag; 304 where nothing has changed since."},
    answers={200: schemas.Execution(), 304: "Nothing has changed.", 410: schemas.Problem()},
)
def show(execution: str, caller: Caller) -> Response:
    """Report an execution, by uuid or id: the document so far, every property and layer."""
    report = accepting.find(caller, _name(execution))
    seconds = _wait_seconds()
    if seconds and not report.ended:
        accepting.wait(report, seconds)
        report = accepting.find(caller, report.id)
    response = answer(native.answer(report), headers=_applied(seconds))
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
    report = accepting.find(caller, _name(execution))
    with context.this().waiters.expecting(report.uuid) as bell:
        status = _cancelled(caller, report.uuid)
        if status == "cancelling" and accepting.ends(bell, report.uuid, CANCEL_SECONDS):
            # What has ended another way before its worker heard of it stands, and is told as a conflict.
            status = _cancelled(caller, report.uuid)
    if status == "cancelling":
        return answer({"status": status}, 202)
    return answer(native.answer(accepting.find(caller, report.id)))


def _cancelled(caller: Caller, uuid: UUID) -> str:
    keep = context.this().settings.result_seconds
    with db.transaction() as connection:
        return executions.cancel(connection, caller.organization_id, uuid, keep_seconds=keep)


def _name(name: str) -> int | UUID:
    try:
        return int(name) if re.fullmatch(r"[0-9]{1,18}", name) else UUID(name)
    except ValueError as error:
        raise NotFound("execution") from error


def _wait_seconds() -> float:
    """Seconds of `Prefer: wait` (RFC 7240), 0 without it; what cannot be read is not preferred."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", request.headers.get("Prefer", ""))
    return float(min(int(found[1]), LONGEST_WAIT_SECONDS)) if found else 0.0


def _applied(seconds: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={seconds:.0f}"} if seconds else {}


def _base() -> str:
    return context.this().settings.public_url.rstrip("/")


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
