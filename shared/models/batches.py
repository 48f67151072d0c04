"""Batches: many executions that were asked for at once, followed by one name."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, Table, func
from sqlalchemy.dialects.postgresql import JSON, UUID

from shared.models import metadata

batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True),
    Column("organization_id", BigInteger, nullable=False),
    Column("key_id", BigInteger),
    # Items that were sent, good ones and bad.
    Column("total", Integer, nullable=False),
    # The bad ones, each with its faults.
    Column("faults", JSON(none_as_null=True)),
    Column("accepted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("cancel_requested_at", DateTime(timezone=True)),
)
