"""Webhooks: who wants to be told of what, and with which secret that is signed.

What ends an execution owes its notices by a trigger, in the same transaction; everything else calls `owe`.
"""

import base64
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, delete, func, select, text, update
from sqlalchemy import insert as inserted

from shared import broker, db, listeners, strict_json
from shared.errors import Conflict, NotFound
from shared.models.webhooks import deliveries, webhooks
from shared.sealing import Sealer
from shared.statements import Statement

QUEUE = "webhooks"
EVENTS = ("execution.ended", "execution.expiring", "document.ended", "knowledge.ended")
#: Sent where somebody asks for it, and to nobody else.
TEST = "webhook.test"
DEFAULT_ENVIRONMENT = "default"
#: Webhooks of an organization at most.
MOST = 100
_PREFIX = "whsec_"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Webhook:
    """What is told of a webhook; never its secrets."""

    id: int
    uuid: UUID
    environment: str
    url: str
    dialect: str
    events: list[str]
    tells_event: bool
    description: str
    created_at: datetime
    changed_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    former_until: datetime | None


_COLUMNS = [webhooks.c[each.name] for each in fields(Webhook)]


def owe(
    connection: Connection,
    organization_id: int,
    event: str,
    subject: UUID,
    data: Mapping[str, Any],
    environment: str | None = None,
) -> int:
    """Write down what is owed to those who want an event, in its transaction; returns to how many.

    An event of a subject is owed once, but `knowledge.ended` as often as it is called. Without an environment those of
    every environment are told. `data` is JSON: of a document `{id, status, name, chunks, error}` and of a folder
    `{id, status, handle, documents, chunks}`, the status `ready` or `failed`.
    """
    values = {
        "organization": organization_id,
        "event": event,
        "subject": subject,
        "data": strict_json.dumps(dict(data)),
        "environment": environment,
    }
    count = _OWE(connection, values).rowcount
    if count:
        db.after_commit(broker.permit, QUEUE)
    return count


def hint(organization_id: int) -> None:
    """Send a permit where an organization that listens may be owed something; the sweep makes up for what is missed."""
    if organization_id in listeners.organizations():
        broker.permit(QUEUE)


def create(
    connection: Connection, organization_id: int, sealer: Sealer, *, url: str, dialect: str, **details: Any
) -> tuple[Webhook, str]:
    """Make a webhook; returns it with its secret, which is told only here. Conflict where there are too many."""
    taken = connection.execute(select(func.count()).where(webhooks.c.organization_id == organization_id)).scalar_one()
    if taken >= MOST:
        raise Conflict(f"an organization has {MOST} webhooks at most")
    uuid, secret = uuid4(), _secret()
    row = connection.execute(
        inserted(webhooks)
        .values(
            uuid=uuid,
            organization_id=organization_id,
            url=url,
            dialect=dialect,
            secret=sealer.seal(secret, _context(organization_id, uuid)),
            **details,
        )
        .returning(*_COLUMNS)
    ).one()
    db.after_commit(listeners.forget)
    return _webhook(row), secret


def listed(connection: Connection, organization_id: int) -> list[Webhook]:
    """Every webhook of an organization, oldest first."""
    query = select(*_COLUMNS).where(webhooks.c.organization_id == organization_id).order_by(webhooks.c.id)
    return [_webhook(row) for row in connection.execute(query)]


def find(connection: Connection, organization_id: int, uuid: UUID) -> Webhook:
    """One webhook; NotFound."""
    row = connection.execute(select(*_COLUMNS).where(_is(organization_id, uuid))).first()
    if row is None:
        raise NotFound("webhook")
    return _webhook(row)


def change(connection: Connection, organization_id: int, uuid: UUID, **changes: Any) -> Webhook:
    """Change a webhook's own values; `enabled` turns it on, its failures forgotten, or off. NotFound."""
    if (enabled := changes.pop("enabled", None)) is not None:
        off = {"disabled_at": func.now(), "disabled_reason": "asked"}
        changes |= {"disabled_at": None, "disabled_reason": None, "failing_since": None} if enabled else off
    query = update(webhooks).where(_is(organization_id, uuid)).values(changed_at=func.now(), **changes)
    row = connection.execute(query.returning(*_COLUMNS)).first()
    if row is None:
        raise NotFound("webhook")
    db.after_commit(listeners.forget)
    return _webhook(row)


def remove(connection: Connection, organization_id: int, uuid: UUID) -> None:
    """Forget a webhook; what was owed to it is never sent. NotFound."""
    if not connection.execute(delete(webhooks).where(_is(organization_id, uuid))).rowcount:
        raise NotFound("webhook")


def rotate(
    connection: Connection, organization_id: int, uuid: UUID, sealer: Sealer, *, overlap_seconds: int
) -> tuple[Webhook, str]:
    """Give a webhook a new secret; the one before signs beside it for so many seconds. NotFound."""
    secret = _secret()
    until = func.now() + text("make_interval(secs => :overlap)").bindparams(overlap=overlap_seconds)
    former = {"former_secret": webhooks.c.secret, "former_until": until} if overlap_seconds else {}
    query = (
        update(webhooks)
        .where(_is(organization_id, uuid))
        .values(
            secret=sealer.seal(secret, _context(organization_id, uuid)),
            **{"former_secret": None, "former_until": None, "changed_at": func.now(), **former},
        )
    )
    row = connection.execute(query.returning(*_COLUMNS)).first()
    if row is None:
        raise NotFound("webhook")
    return _webhook(row), secret


def test(connection: Connection, organization_id: int, uuid: UUID) -> UUID:
    """Owe a webhook a notice that is about nothing; returns its uuid. Conflict where it is disabled; NotFound."""
    found = find(connection, organization_id, uuid)
    if found.disabled_at is not None:
        raise Conflict("the webhook is disabled")
    subject = uuid4()
    row = connection.execute(
        inserted(deliveries)
        .values(
            organization_id=organization_id,
            webhook_id=found.id,
            event=TEST,
            subject=subject,
            data={"uuid": str(subject)},
        )
        .returning(deliveries.c.uuid)
    ).one()
    db.after_commit(broker.permit, QUEUE)
    return UUID(str(row.uuid))


def opened(sealer: Sealer, organization_id: int, uuid: UUID, sealed: Collection[bytes]) -> list[str]:
    """The secrets of a webhook as they were given out; SealBroken where they cannot be opened here."""
    return [sealer.open(bytes(each), _context(organization_id, uuid)) for each in sealed]


def reseal(connection: Connection, sealer: Sealer) -> int:
    """Seal every secret with the newest of the sealer's keys; returns how many were not.

    SealBroken where one cannot be opened, and then the transaction must change none.
    """
    changed = 0
    for row in connection.execute(select(webhooks).with_for_update()).all():
        for name in ("secret", "former_secret"):
            sealed = row._mapping[name]
            if sealed is None or sealer.is_current(bytes(sealed)):
                continue
            context = _context(row.organization_id, row.uuid)
            anew = sealer.seal(sealer.open(bytes(sealed), context), context)
            connection.execute(update(webhooks).where(webhooks.c.id == row.id).values({name: anew}))
            changed += 1
    return changed


def _secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _context(organization_id: int, uuid: UUID) -> str:
    return f"webhook:{organization_id}:{uuid}"


def _is(organization_id: int, uuid: UUID) -> Any:
    return (webhooks.c.organization_id == organization_id) & (webhooks.c.uuid == uuid)


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(**row._asdict())


_OWE = Statement("""
    INSERT INTO deliveries (organization_id, webhook_id, event, subject, data)
    SELECT w.organization_id, w.id, :event, :subject, CAST(:data AS json)
      FROM webhooks w
     WHERE w.organization_id = :organization AND w.disabled_at IS NULL AND :event = ANY (w.events)
       AND w.environment = coalesce(:environment, w.environment)
        ON CONFLICT DO NOTHING
""")
