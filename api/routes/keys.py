"""`/v2/keys`: the organization's API keys."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from api import cursors, parsing, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, key_ring
from shared.clock import rfc3339
from shared.errors import NotFound
from shared.key_ring import New
from shared.keys import Caller, Limits

blueprint = Blueprint("keys", __name__, url_prefix="/v2/keys")

_MAKE = schemas.MakeKey()
_ROTATE = schemas.RotateKey()


@blueprint.post("")
@endpoint(
    scope="admin", body=_MAKE, answers={201: schemas.NewKey()}, example={"name": "billing", "scopes": ["execute"]}
)
def make_key(caller: Caller) -> Response:
    """Make a key. The answer is the only one that ever shows it; nobody makes one that may do more than his own."""
    body = parsing.body(_MAKE).checked()
    limits = Limits(body["max_queued"], body["per_minute"])
    with db.transaction() as connection:
        key, told = key_ring.make(connection, caller, New(body["name"], body["scopes"], body["expires_at"], limits))
        audit.note(connection, caller, "key.created", str(told["id"]), name=told["name"], scopes=told["scopes"])
    return answer({**_told(told), "key": key}, 201)


@blueprint.get("")
@endpoint(scope="admin", query=schemas.Page(), answers={200: schemas.Keys()})
def list_keys(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the keys, newest first, the expired and revoked ones too."""
    before = cursors.read_id("keys", query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    with db.autocommit() as connection:
        found = key_ring.listed(connection, caller.organization_id, before=before, limit=limit + 1)
    page = found[:limit]
    cursor = cursors.write("keys", str(page[-1]["id"])) if len(found) > limit else None
    return answer({"keys": [_told(each) for each in page], "next_cursor": cursor})


@blueprint.get("/<key>")
@endpoint(scope="admin", answers={200: schemas.Key()})
def show_key(key: str, caller: Caller) -> Response:
    """Show a key, by its id."""
    with db.autocommit() as connection:
        return answer(_told(key_ring.found(connection, caller.organization_id, _named(key))))


@blueprint.delete("/<key>")
@endpoint(scope="admin", answers={200: schemas.Key(), 409: schemas.Problem()})
def revoke_key(key: str, caller: Caller) -> Response:
    """Revoke a key: it is refused from the next request on, and cannot be made good again."""
    with db.transaction() as connection:
        told = key_ring.revoke(connection, caller.organization_id, _named(key))
        audit.note(connection, caller, "key.revoked", key, name=told["name"])
    return answer(_told(told))


@blueprint.post("/<key>/rotate")
@endpoint(
    scope="admin",
    body=_ROTATE,
    answers={201: schemas.NewKey(), 409: schemas.Problem()},
    example={"overlap_seconds": 3600},
)
def rotate_key(key: str, caller: Caller) -> Response:
    """Make a key that is like another, and end that: at once, or after `overlap_seconds` in which both are good."""
    overlap = parsing.body(_ROTATE, optional=True).checked()["overlap_seconds"]
    with db.transaction() as connection:
        made, told = key_ring.rotate(connection, caller, _named(key), overlap_seconds=overlap)
        audit.note(connection, caller, "key.rotated", key, overlap_seconds=overlap, new=told["id"])
    return answer({**_told(told), "key": made}, 201)


def _named(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound("key")
    return int(text)


def _told(key: Mapping[str, Any]) -> dict[str, Any]:
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    return {**key, **{name: rfc3339(key[name]) for name in times}}
