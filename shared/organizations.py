"""Organizations: the tenants."""

from sqlalchemy import Connection, insert, select
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


def names(connection: Connection) -> list[str]:
    """Every organization, by name."""
    return list(connection.execute(select(organizations.c.name).order_by(organizations.c.name)).scalars())
