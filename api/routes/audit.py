"""`/v2/audit`: who changed what of the organization."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from api import cursors, schemas
from api.endpoint import answer, endpoint
from shared import audit, db
from shared.audit import Filters
from shared.clock import rfc3339
from shared.keys import Caller

blueprint = Blueprint("audit", __name__, url_prefix="/v2/audit")


@blueprint.get("")
@endpoint(scope="admin", query=schemas.ListAudit(), answers={200: schemas.Audit()})
def list_audit(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the changes that were made over HTTP, newest first.

    Each was noted in the transaction that made it, and is kept for good. Executions are no changes, and what operators
    do at the command line is not noted here.
    """
    before = cursors.read_id("audit", query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    filters = Filters(**{name: query.get(name) for name in ("action", "subject", "key", "after", "before")})
    with db.autocommit() as connection:
        found = audit.listed(connection, caller.organization_id, filters, before=before, limit=limit + 1)
    page = found[:limit]
    cursor = cursors.write("audit", str(page[-1]["id"])) if len(found) > limit else None
    return answer({"changes": [_told(each) for each in page], "next_cursor": cursor})


def _told(note: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": note["id"],
        "at": rfc3339(note["at"]),
        "action": note["action"],
        "subject": note["subject"],
        "details": note["details"] or {},
        "key_id": note["key_id"],
        "key_prefix": note["prefix"],
        "key_name": note["name"],
    }
