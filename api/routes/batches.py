"""`/v2/batches`: many executions in one request, followed and cancelled by one name."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

from flask import Blueprint, Response

from api import context, cursors, idempotency, schemas, submitting
from api.endpoint import answer, endpoint
from api.lines import NDJSON, Lines
from shared import batches, db, executions
from shared.errors import NotFound
from shared.keys import Caller

blueprint = Blueprint("batches", __name__, url_prefix="/v2/batches")

#: How long a cancel waits for executions that something else is changing at that moment, in seconds.
CANCEL_SECONDS = 10.0


@blueprint.post("")
@endpoint(
    scope="execute",
    body=schemas.BatchLine(),
    body_types=NDJSON,
    query=schemas.StartBatch(),
    headers={idempotency.HEADER: idempotency.DESCRIPTION},
    answers={202: schemas.Batch(), 409: schemas.Problem(), 429: schemas.Problem()},
    example={"pipeline": "film-reviews", "inputs": {"film": "Metropolis"}, "tags": {"client": "acme"}},
)
def start_batch(caller: Caller, query: Mapping[str, Any]) -> Response:
    """Accept many executions: a JSON object a line, each as a single execution is started.

    Good lines are accepted, all of them in one transaction; bad ones are listed with all their faults. Where none is
    good, or with `atomic` where one is bad, nothing is accepted, and 422 names the faults by `lines[3].inputs.film`. A
    body of `application/json` may be a list of the same objects, as large as any other body.
    """
    with closing(Lines(caller, query.get("pipeline"), query["version"])) as lines:
        lines.read()
        uuid = submitting.submit(caller, lines, atomic=query["atomic"])
    place = f"{context.this().settings.public_url.rstrip('/')}/v2/batches/{uuid}"
    return answer(_find(caller, uuid), 202, {"Location": place})


@blueprint.get("/<batch>")
@endpoint(scope="read", answers={200: schemas.Batch()})
def show_batch(batch: str, caller: Caller) -> Response:
    """Tell what has come of a batch: how many are in each status, since when, and which lines were refused."""
    return answer(_find(caller, _named(batch)))


@blueprint.get("/<batch>/executions")
@endpoint(scope="read", query=schemas.ListBatch(), answers={200: schemas.BatchExecutions()})
def list_batch(batch: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the executions of a batch, by line."""
    after = cursors.read_id("batch", query["cursor"]) if "cursor" in query else 0
    limit = query["limit"]
    with db.autocommit() as connection:
        found = batches.listed(
            connection,
            caller.organization_id,
            _named(batch),
            status=query.get("status"),
            after=after,
            limit=limit + 1,
        )
    page = found[:limit]
    cursor = cursors.write("batch", str(page[-1]["line"])) if len(found) > limit else None
    return answer({"executions": page, "next_cursor": cursor})


@blueprint.post("/<batch>/cancel")
@endpoint(scope="execute", answers={200: schemas.CancelledBatch(), 202: schemas.CancelledBatch()})
def cancel_batch(batch: str, caller: Caller) -> Response:
    """Cancel what has not ended of a batch: 200 once all has, 202 while workers have not confirmed; may be repeated.

    What has ended another way stands. `cancelled_now` and `stopping_now` tell what this request has done.
    """
    uuid = _named(batch)
    with db.transaction() as connection:
        batch_id = batches.ask_to_stop(connection, caller.organization_id, uuid)
    cancelled = stopping = 0
    until = time.monotonic() + CANCEL_SECONDS
    while True:
        with db.transaction() as connection:
            ended, asked = executions.cancel_some(
                connection, batch_id, keep_seconds=context.this().settings.result_seconds
            )
        cancelled, stopping = cancelled + ended, stopping + asked
        if ended or asked:
            continue
        found = _find(caller, uuid)
        counts = found["counts"]
        if counts["waiting"] + counts["queued"] + counts["running"] == found["cancelling"] or time.monotonic() > until:
            break
        # A worker, or a duty, holds what is left for the moment.
        time.sleep(0.05)
    return answer({**found, "cancelled_now": cancelled, "stopping_now": stopping}, 200 if found["ended"] else 202)


def _find(caller: Caller, uuid: UUID) -> dict[str, Any]:
    with db.autocommit() as connection:
        found = batches.find(connection, caller.organization_id, uuid)
    return {**found, "cost": None if found["cost"] is None else float(found["cost"])}


def _named(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound("batch") from error
