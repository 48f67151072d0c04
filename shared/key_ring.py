"""An organization's keys as its admins see them: by integer id, made, listed, revoked, and changed for new ones.

The key of STRATA_BOOTSTRAP_KEY belongs to whoever sets that, and is only told of here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select, update

from shared import keys
from shared.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from shared.keys import BOOTSTRAP, Caller, Limits
from shared.models.organizations import api_keys

_COLUMNS = [
    api_keys.c[name]
    for name in (
        *("id", "prefix", "name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"),
        *("max_queued", "per_minute"),
    )
]


class New(NamedTuple):
    """What a new key is to be."""

    name: str
    scopes: Sequence[str]
    expires_at: datetime | None = None
    limits: Limits = Limits()


def make(connection: Connection, caller: Caller, new: New) -> tuple[str, dict[str, Any]]:
    """Make a key of the caller's organization; returns it, the only time it is seen, and what lists tell of it.

    Forbidden for a scope that the caller lacks, Invalid for a name that is not to be had or a time that is over.
    """
    for scope in new.scopes:
        if not caller.may(scope):
            raise Forbidden(scope)
    if new.name == BOOTSTRAP:
        raise Invalid([Fault("name", f"{BOOTSTRAP} is the name of the key of STRATA_BOOTSTRAP_KEY")])
    if new.expires_at is not None and new.expires_at <= connection.execute(select(func.now())).scalar_one():
        raise Invalid([Fault("expires_at", "is over")])
    key = keys.create(
        connection,
        caller.organization_id,
        name=new.name,
        scopes=tuple(sorted(set(new.scopes))),
        expires_at=new.expires_at,
        limits=new.limits,
    )
    return key, found(connection, caller.organization_id, keys.identity(connection, key))


def listed(connection: Connection, organization_id: int, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The keys of an organization, newest first, below an id; the revoked ones too, none with what could be used."""
    query = select(*_COLUMNS).where(api_keys.c.organization_id == organization_id)
    if before is not None:
        query = query.where(api_keys.c.id < before)
    return [dict(row) for row in connection.execute(query.order_by(api_keys.c.id.desc()).limit(limit)).mappings()]


def found(connection: Connection, organization_id: int, key_id: int) -> dict[str, Any]:
    """One key as lists tell of it; NotFound."""
    return dict(_row(connection, organization_id, key_id)._mapping)


def revoke(connection: Connection, organization_id: int, key_id: int) -> dict[str, Any]:
    """Revoke a key: it is refused from the commit on. NotFound; Conflict where it is revoked already, or not ours."""
    _good(connection, organization_id, key_id)
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=func.now()))
    return found(connection, organization_id, key_id)


def rotate(connection: Connection, caller: Caller, key_id: int, *, overlap_seconds: int) -> tuple[str, dict[str, Any]]:
    """Make a key that is like another, which stays good for so many seconds more and no longer; returns as `make`.

    NotFound, Forbidden, and Conflict as above.
    """
    row = _good(connection, caller.organization_id, key_id)
    new = New(row.name, row.scopes, row.expires_at, Limits(row.max_queued, row.per_minute))
    key, told = make(connection, caller, new)
    if not overlap_seconds:
        revoke(connection, caller.organization_id, key_id)
    else:
        until = func.least(api_keys.c.expires_at, func.now() + timedelta(seconds=overlap_seconds))
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(expires_at=until))
    return key, told


def _good(connection: Connection, organization_id: int, key_id: int) -> Row[Any]:
    """A key that can be changed, locked."""
    row = _row(connection, organization_id, key_id, lock=True)
    if row.name == BOOTSTRAP:
        raise Conflict("the key of STRATA_BOOTSTRAP_KEY is changed there")
    if row.revoked_at is not None:
        raise Conflict("the key is revoked already")
    if row.over:
        raise Conflict("the key has expired")
    return row


def _row(connection: Connection, organization_id: int, key_id: int, *, lock: bool = False) -> Row[Any]:
    over = [func.coalesce(api_keys.c.expires_at <= func.now(), False).label("over")] if lock else []
    query = select(*_COLUMNS, *over).where(api_keys.c.organization_id == organization_id, api_keys.c.id == key_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("key")
    return row
