"""Organizations: the tenants."""

from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared.errors import Conflict, NotFound
from shared.models.organizations import organizations


def create(connection: Connection, name: str) -> int:
    """Make an organization and return its id; Conflict where the name is taken."""
    try:
        return connection.execute(insert(organizations).values(name=name).returning(organizations.c.id)).scalar_one()
    except IntegrityError as error:
        raise Conflict(f"there is an organization {name} already") from error


def find(connection: Connection, name: str) -> int:
    """Return the id of an organization; NotFound."""
    found = connection.execute(select(organizations.c.id).where(organizations.c.name == name)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"organization {name}")
    return found


def limit(connection: Connection, name: str, **limits: float | None) -> None:
    """Set `weight`, `max_running`, `max_queued` or `per_minute` of an organization; NotFound."""
    if not connection.execute(update(organizations).where(organizations.c.name == name).values(**limits)).rowcount:
        raise NotFound(f"organization {name}")


def listed(connection: Connection) -> list[dict[str, Any]]:
    """Every organization by name, with its limits."""
    columns = [organizations.c[name] for name in ("name", "weight", "max_running", "max_queued", "per_minute")]
    return [dict(row) for row in connection.execute(select(*columns).order_by(organizations.c.name)).mappings()]


def names(connection: Connection) -> list[str]:
    """Every organization, by name."""
    return list(connection.execute(select(organizations.c.name).order_by(organizations.c.name)).scalars())
