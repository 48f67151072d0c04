"""Environments: named scopes of variables, whose values are stored sealed and never shown.

`default` is there for every organization, whether or not anything was ever set in it.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared import redaction
from shared.errors import Conflict, Fault, Invalid, NotFound, SealBroken
from shared.models.environments import environments, variables
from shared.order import DEFAULT_ENVIRONMENT as DEFAULT
from shared.sealing import OVERHEAD_BYTES, Sealer
from shared.statements import Statement

NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
#: Of one environment, and of what an order brings along.
MOST_BYTES = 64 << 10
MOST_VARIABLES = 200
_SHORT = f"shorter than {redaction.LEAST_CHARACTERS} characters: it is not looked for in what is told, and not redacted"
_BROKEN = "cannot be opened: STRATA_SECRET_KEYS has lost the key that it was sealed with; set it again"


class Known(NamedTuple):
    """What is told of a variable: its name, when it was set, and what to be warned of."""

    name: str
    set_at: datetime
    warning: str | None


def put(connection: Connection, organization_id: int, name: str) -> bool:
    """Make an environment; False where it was there already. Invalid for what can be no name."""
    if not NAME.fullmatch(name):
        raise Invalid([Fault("environment", "must be 1 to 64 letters, digits, `.`, `_` or `-`")])
    made = upsert(environments).values(organization_id=organization_id, name=name).on_conflict_do_nothing()
    return bool(connection.execute(made).rowcount) and name != DEFAULT


def remove(connection: Connection, organization_id: int, name: str) -> None:
    """Delete an environment with its variables; NotFound, Conflict for `default`."""
    if name == DEFAULT:
        raise Conflict("the environment `default` is always there; its variables can be deleted")
    if not connection.execute(delete(environments).where(*_is(organization_id, name))).rowcount:
        raise NotFound("environment")


def listed(connection: Connection, organization_id: int, *, after: str = "", limit: int = 50) -> list[dict[str, Any]]:
    """Environments by name, each with how many variables it has."""
    rows = _LIST(connection, {"organization": organization_id, "after": after, "limit": limit})
    return [dict(row) for row in rows.mappings()]


def known(connection: Connection, organization_id: int, name: str, sealer: Sealer) -> list[Known]:
    """What is told of the variables of an environment, by name; NotFound."""
    if not _there(connection, organization_id, name):
        raise NotFound("environment")
    mine = (variables.c.organization_id == organization_id) & (variables.c.environment == name)
    rows = connection.execute(select(variables).where(mine).order_by(variables.c.name))
    return [
        Known(row.name, row.set_at, _warning(bytes(row.sealed), _context(organization_id, name, row.name), sealer))
        for row in rows
    ]


def set_variable(
    connection: Connection, organization_id: int, environment: str, name: str, value: str, sealer: Sealer
) -> Known:
    """Set a variable; wants a transaction, in which others of the environment wait.

    Invalid for a name that can be none and where the environment would hold too much; NotFound for the environment;
    Conflict where there is nothing to seal it with.
    """
    if not VARIABLE.fullmatch(name):
        raise Invalid([Fault("name", "must be A to Z, digits and _, a letter first, at most 100 characters")])
    if environment == DEFAULT:
        put(connection, organization_id, environment)
    locked = select(environments.c.name).where(*_is(organization_id, environment)).with_for_update()
    if connection.execute(locked).first() is None:
        raise NotFound("environment")
    _check_room(connection, organization_id, environment, name, value)
    values = {"sealed": sealer.seal(value, _context(organization_id, environment, name)), "set_at": func.now()}
    row = connection.execute(
        upsert(variables)
        .values(organization_id=organization_id, environment=environment, name=name, **values)
        .on_conflict_do_update(constraint=variables.primary_key, set_=values)
        .returning(variables.c.set_at)
    ).one()
    return Known(name, row.set_at, None if redaction.is_secret(value) else _SHORT)


def remove_variable(connection: Connection, organization_id: int, environment: str, name: str) -> None:
    """Forget a variable; NotFound where there is none."""
    found = (variables.c.organization_id == organization_id, variables.c.environment == environment)
    if not connection.execute(delete(variables).where(*found, variables.c.name == name)).rowcount:
        raise NotFound("variable")


def values(
    connection: Connection, organization_id: int, environment: str, names: Collection[str], sealer: Sealer
) -> dict[str, str] | None:
    """The values of those of the names that are set in an environment, None where there is no such environment.

    Conflict where one cannot be opened here.
    """
    asked = {"organization": organization_id, "environment": environment, "names": list(names)}
    rows = _VALUES(connection, asked).all()
    if not rows:
        return {} if environment == DEFAULT else None
    try:
        return {
            row.name: sealer.open(bytes(row.sealed), _context(organization_id, environment, row.name))
            for row in rows
            if row.name is not None
        }
    except SealBroken as error:
        raise Conflict(f"a variable of the environment {environment} cannot be opened: {error}") from error


def reseal(connection: Connection, sealer: Sealer) -> int:
    """Seal every variable with the newest of the sealer's keys; returns how many were not.

    SealBroken where one cannot be opened, and then the transaction must change none.
    """
    changed = 0
    for row in connection.execute(select(variables).with_for_update()).all():
        if not sealer.is_current(bytes(row.sealed)):
            context = _context(row.organization_id, row.environment, row.name)
            sealed = sealer.seal(sealer.open(bytes(row.sealed), context), context)
            same = [column == row._mapping[column.name] for column in variables.primary_key]
            connection.execute(update(variables).where(*same).values(sealed=sealed))
            changed += 1
    return changed


def _check_room(connection: Connection, organization_id: int, environment: str, name: str, value: str) -> None:
    asked = {"organization": organization_id, "environment": environment, "name": name, "overhead": OVERHEAD_BYTES}
    held = _HELD(connection, asked).one()
    if held.variables >= MOST_VARIABLES:
        raise Invalid([Fault("name", f"an environment has at most {MOST_VARIABLES} variables")])
    if held.bytes + len(value.encode()) > MOST_BYTES:
        raise Invalid([Fault("value", f"the values of an environment are at most {MOST_BYTES} bytes together")])


def _there(connection: Connection, organization_id: int, name: str) -> bool:
    if name == DEFAULT:
        return True
    return connection.execute(select(environments.c.name).where(*_is(organization_id, name))).first() is not None


def _is(organization_id: int, name: str) -> tuple[Any, ...]:
    return environments.c.organization_id == organization_id, environments.c.name == name


def _warning(sealed: bytes, context: str, sealer: Sealer) -> str | None:
    try:
        return None if redaction.is_secret(sealer.open(sealed, context)) else _SHORT
    except SealBroken:
        return _BROKEN


def _context(organization_id: int, environment: str, name: str) -> str:
    return f"variable:{organization_id}:{environment}:{name}"


_LIST = Statement(f"""
    SELECT all_of_them.name, all_of_them.created_at, count(v.name) AS variables
      FROM (SELECT name, created_at FROM environments WHERE organization_id = :organization
            UNION ALL
            SELECT '{DEFAULT}', NULL
             WHERE NOT EXISTS (SELECT FROM environments WHERE organization_id = :organization AND name = '{DEFAULT}')
           ) AS all_of_them
      LEFT JOIN variables v ON v.organization_id = :organization AND v.environment = all_of_them.name
     WHERE all_of_them.name > :after
     GROUP BY all_of_them.name, all_of_them.created_at
     ORDER BY all_of_them.name LIMIT :limit
""")

_VALUES = Statement("""
    SELECT v.name, v.sealed FROM environments e
      LEFT JOIN variables v ON v.organization_id = e.organization_id AND v.environment = e.name
                           AND v.name = ANY (CAST(:names AS text[]))
     WHERE e.organization_id = :organization AND e.name = :environment
""")

# What the others of an environment hold.
_HELD = Statement("""
    SELECT count(*) AS variables, coalesce(sum(octet_length(sealed) - :overhead), 0) AS bytes
      FROM variables WHERE organization_id = :organization AND environment = :environment AND name <> :name
""")
