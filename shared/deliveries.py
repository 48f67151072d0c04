"""Deliveries: what is owed to webhooks, one row each, claimed by a sender with a lease and tried until it arrives.

         ┌───────── again, later ─────────┐
         ▼                                │
  owe ─▶ pending ──────claim──────▶ sending ──record──▶ delivered | failed
         ▲ ▲                              │                          │
         │ └── take back (sender gone) ───┘                          │
         └───────────────────────── resend ──────────────────────────┘

A webhook has so many places, and one that fails only one until something arrives: a receiver that is dead or slow
holds up nobody else's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from shared import broker, db, delivery_statements, strict_json, webhooks
from shared.errors import Conflict, NotFound, StrataError

STATUSES = ("pending", "sending", "delivered", "failed")
#: Notices of one webhook that are on their way at once.
PLACES = 8
#: How long a try may take, and how long nobody else may take it up, in seconds.
TIMEOUT_SECONDS = 15.0
LEASE_SECONDS = 20.0
#: How long after each try the next one comes, in seconds (https://www.standardwebhooks.com, "Deliverability").
PAUSES = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
#: A webhook of which nothing but failures has come for so long is disabled, in seconds.
LASTING_SECONDS = 5 * 24 * 3600
_BATCH = 500


class Raced(StrataError):
    """Other senders came first; what is due looks different now."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is this sender's until its lease is over; `attempt` fences what it writes."""

    id: int
    uuid: UUID
    organization_id: int
    webhook: UUID
    event: str
    subject: UUID
    data: dict[str, Any]
    attempt: int
    #: Which try this is since somebody last asked for it, from 1 on.
    tries: int
    created_at: datetime
    url: str
    dialect: str
    tells_event: bool
    #: The newest first, sealed.
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try: arrived, to be tried again in so many seconds, or given up.

    `gone` says that the receiver wants nothing any more.
    """

    seconds: float
    arrived: bool = False
    again_seconds: float | None = None
    gone: bool = False
    #: The receiver's answer, None where there was none, and what went wrong.
    status: int | None = None
    error: str | None = None

    @property
    def label(self) -> str:
        """What becomes of the delivery."""
        if self.arrived:
            return "delivered"
        return "failed" if self.again_seconds is None else "pending"


def claim(connection: Connection, sender: UUID, *, many: int = 1) -> list[Due]:
    """Take what is due, first of the webhooks that have the least on their way; none where nothing is.

    Raced where other senders have taken the same: try again.
    """
    values = {"sender": sender, "lease": LEASE_SECONDS, "places": PLACES, "many": many}
    try:
        rows = delivery_statements.CLAIM(connection, values).all()
    except IntegrityError as error:
        raise Raced("another sender has taken the same place") from error
    if rows[0].id is None:
        if rows[0].picked:
            raise Raced("other senders have taken the same deliveries")
        return []
    return [_due(row) for row in rows]


def record(connection: Connection, due: Due, sender: UUID, outcome: Outcome) -> bool:
    """Write down what came of a try; False where the lease was over, and somebody else has taken it up."""
    row = delivery_statements.RECORD(
        connection,
        {
            "id": due.id,
            "sender": sender,
            "attempt": due.attempt,
            "outcome": outcome.label,
            "again": outcome.again_seconds or 0.0,
            "gone": outcome.gone,
            "seconds": outcome.seconds,
            "status": outcome.status,
            "error": strict_json.clean(outcome.error),
            "lasting": LASTING_SECONDS,
        },
    ).first()
    return row is not None


def take_back(connection: Connection) -> int:
    """Let others try what senders had whose leases are over; returns how many."""
    return delivery_statements.TAKE_BACK(connection, {"batch": _BATCH, "most": len(PAUSES) + 1}).rowcount


def backlog(connection: Connection, *, at_most: int) -> int:
    """How many may be sent now, counted no further than a number."""
    return min(at_most, int(delivery_statements.BACKLOG(connection, {"places": PLACES}).scalar_one()))


def owe_expiring(connection: Connection, *, ahead_seconds: float) -> int:
    """Owe notice of the executions whose results are deleted within so many seconds; returns of how many, or a batch.

    Each webhook remembers how far it has been told, so that an execution is looked at once.
    """
    count = delivery_statements.OWE_EXPIRING(connection, {"ahead": ahead_seconds, "batch": _BATCH}).rowcount
    if count:
        db.after_commit(broker.permit, webhooks.QUEUE)
    return count


def bury(connection: Connection, *, days: float, batch: int = 1000) -> int:
    """Delete deliveries that were owed so many days ago, with their attempts; returns how many, at most a batch."""
    return delivery_statements.BURY(connection, {"days": days, "batch": batch}).rowcount


def listed(
    connection: Connection, webhook_id: int, *, status: str | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Deliveries of a webhook, the newest first, below an id."""
    values = {"webhook": webhook_id, "status": status, "before": before, "limit": limit}
    return [dict(row) for row in delivery_statements.LISTED(connection, values).mappings()]


def find(connection: Connection, webhook_id: int, uuid: UUID) -> dict[str, Any]:
    """One delivery of a webhook; NotFound."""
    row = delivery_statements.FIND(connection, {"webhook": webhook_id, "uuid": uuid}).mappings().first()
    if row is None:
        raise NotFound("delivery")
    return dict(row)


def attempts(connection: Connection, delivery_id: int) -> list[dict[str, Any]]:
    """Every attempt of a delivery, in their order."""
    return [dict(row) for row in delivery_statements.ATTEMPTS(connection, {"id": delivery_id}).mappings()]


def resend(connection: Connection, webhook_id: int, uuid: UUID) -> None:
    """Send a delivery once more, or now if it waits; its schedule begins anew, its uuid stays. NotFound.

    Conflict while it is on its way.
    """
    if delivery_statements.RESEND(connection, {"webhook": webhook_id, "uuid": uuid}).rowcount:
        db.after_commit(broker.permit, webhooks.QUEUE)
    elif find(connection, webhook_id, uuid):
        raise Conflict("the delivery is on its way")


def lateness(connection: Connection) -> Mapping[str, Any]:
    """How many deliveries are pending, those to come included, and for how many seconds the oldest has been due."""
    return dict(delivery_statements.LATENESS(connection, {}).mappings().one())


def _due(row: Row[Any]) -> Due:
    values = row._asdict()
    del values["picked"]
    former = values.pop("former_secret")
    sealed = (values.pop("secret"), *([former] if former is not None else []))
    return Due(**values, secrets=tuple(bytes(each) for each in sealed))
