"""Webhooks: who wants to be told of what, what is owed to them, and every attempt to deliver it."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from shared.models import metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("environment", Text, nullable=False, server_default="default"),
    Column("url", Text, nullable=False),
    # How it is told: `standard` or `promptjuggler`.
    Column("dialect", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    # Whether a vendor's body names the event, which some strict clients refuse.
    Column("tells_event", Boolean, nullable=False, server_default="false"),
    Column("description", Text, nullable=False, server_default=""),
    # Sealed, both; the former signs beside the other until its time is over.
    Column("secret", LargeBinary, nullable=False),
    Column("former_secret", LargeBinary),
    Column("former_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("disabled_at", DateTime(timezone=True)),
    # `asked`, `gone` or `failing`.
    Column("disabled_reason", Text),
    # Since when nothing but failures has come of it.
    Column("failing_since", DateTime(timezone=True)),
    # What expires until then has been told of, where it wants to know.
    Column("expiring_until", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled"),
    CheckConstraint("(former_secret IS NULL) = (former_until IS NULL)", name="former"),
    # Looked at by whatever ends an execution.
    Index("webhooks_enabled_index", "organization_id", postgresql_where=text("disabled_at IS NULL")),
    Index("webhooks_list_index", "organization_id", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # The same at every attempt: receivers know by it what they have seen.
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, server_default=func.gen_random_uuid()),
    # These two without a foreign key: it would lock their rows at every end of an execution.
    Column("organization_id", BigInteger, nullable=False),
    Column("webhook_id", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    # What it is about; its body is made of this and `data` when it is sent.
    Column("subject", UUID(as_uuid=True), nullable=False),
    Column("data", JSON(none_as_null=True), nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    # Attempts so far, which fence the writes of senders; and those of them since it was last asked to be sent.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Who sends it, until when nobody else may, and which place of its webhook's it takes.
    Column("worker", UUID(as_uuid=True)),
    Column("lease_until", DateTime(timezone=True)),
    Column("place", SmallInteger),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('pending','sending','delivered','failed')", name="status"),
    CheckConstraint(
        "(status = 'sending') = (worker IS NOT NULL)"
        " AND (worker IS NULL) = (lease_until IS NULL) AND (worker IS NULL) = (place IS NULL)",
        name="owned",
    ),
    CheckConstraint("(status IN ('delivered','failed')) = (ended_at IS NOT NULL)", name="ended"),
    # An event of a subject is owed once; only folders become ready again and again.
    Index(
        "deliveries_once_index",
        "webhook_id",
        "event",
        "subject",
        unique=True,
        postgresql_where=text("event <> 'knowledge.ended'"),
    ),
    Index("deliveries_due_index", "webhook_id", "due_at", postgresql_where=text("status = 'pending'")),
    # No two that are being sent have one place, so that a webhook never has more in flight than it has places.
    Index("deliveries_places_index", "webhook_id", "place", unique=True, postgresql_where=text("status = 'sending'")),
    Index("deliveries_lease_index", "lease_until", postgresql_where=text("status = 'sending'")),
    Index("deliveries_list_index", "webhook_id", text("id DESC")),
    Index("deliveries_created_at_index", "created_at"),
    postgresql_with={"fillfactor": "70"},
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("delivery_id", ForeignKey(deliveries.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("seconds", Float, nullable=False),
    # What the receiver answered; null where it did not.
    Column("status", Integer),
    Column("error", Text),
)
