"""Who changed what over HTTP: noted in the transaction of the change, so that neither is there without the other.

A note names things and never holds a secret's value; nothing changes or deletes one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from shared import strict_json
from shared.keys import Caller
from shared.models.audit import audit
from shared.models.organizations import api_keys


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notes are wanted; None says nothing. `action` is one of them, or the noun before its point."""

    action: str | None = None
    subject: str | None = None
    key: int | None = None
    after: datetime | None = None
    before: datetime | None = None


def note(connection: Connection, caller: Caller, action: str, subject: str, **details: Any) -> None:
    """Note a change, in its transaction: `note(connection, caller, "webhook.created", str(uuid), url=url)`.

    `action` is a noun and what became of it, `subject` what a route calls the thing; details are told to whoever may
    read the list, as they are.
    """
    told = strict_json.clean(details) or None
    connection.execute(
        insert(audit).values(
            organization_id=caller.organization_id,
            key_id=caller.key_id,
            action=action,
            subject=strict_json.clean(subject),
            details=told,
        )
    )


def listed(
    connection: Connection, organization_id: int, filters: Filters, *, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """The notes of an organization, newest first, below an id; with the key's prefix and name as they are now."""
    columns = (audit.c.id, audit.c.at, audit.c.action, audit.c.subject, audit.c.details, audit.c.key_id)
    query = (
        select(*columns, api_keys.c.prefix, api_keys.c.name)
        .join_from(audit, api_keys, api_keys.c.id == audit.c.key_id, isouter=True)
        .where(audit.c.organization_id == organization_id, *_wanted(filters))
        .order_by(audit.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(audit.c.id < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def _wanted(filters: Filters) -> list[Any]:
    wanted: list[Any] = []
    if filters.action is not None:
        noun = audit.c.action.startswith(f"{filters.action}.", autoescape=True)
        wanted.append((audit.c.action == filters.action) | noun)
    if filters.subject is not None:
        wanted.append(audit.c.subject == filters.subject)
    if filters.key is not None:
        wanted.append(audit.c.key_id == filters.key)
    if filters.after is not None:
        wanted.append(audit.c.at >= filters.after)
    if filters.before is not None:
        wanted.append(audit.c.at < filters.before)
    return wanted
