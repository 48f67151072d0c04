"""`/v2/pipelines/{handle}/diff`: what differs between two versions."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from api import schemas
from api.endpoint import answer, endpoint
from shared import compatibility, db, differences, pipelines
from shared.differences import Change
from shared.keys import Caller

blueprint = Blueprint("differences", __name__, url_prefix="/v2/pipelines")


@blueprint.get("/<handle>/diff")
@endpoint(scope="read", query=schemas.Compare(), answers={200: schemas.Differences()})
def show_differences(handle: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """Compare two versions of a pipeline: what differs, and what of it breaks callers."""
    with db.autocommit() as connection:
        versions = [
            pipelines.resolve(connection, caller.organization_id, handle, query[name]) for name in ("old", "new")
        ]
        old, new = (pipelines.described(connection, each) for each in versions)
    notes = compatibility.notes(versions[0].plan, versions[1].plan)
    return answer({
        "handle": new["handle"],
        "uuid": new["uuid"],
        "from": _compared(old),
        "to": _compared(new),
        "same": old["hash"] == new["hash"],
        "breaking": any(each.breaking for each in notes),
        "changes": [_change(each) for each in differences.compare(old["definition"], new["definition"])],
        "compatibility": [asdict(each) for each in notes],
    })


def _compared(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in ("version", "version_uuid", "hash")}


def _change(each: Change) -> dict[str, Any]:
    return {
        "change": each.kind,
        "place": each.place,
        "old_pointer": each.old_pointer,
        "new_pointer": each.new_pointer,
        "old": each.old,
        "new": each.new,
        "diff": each.lines,
    }
