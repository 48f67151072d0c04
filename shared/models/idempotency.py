"""Idempotency keys: which request each stood for, and the execution or batch that came of it."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import UUID

from shared.models import metadata
from shared.models.batches import batches
from shared.models.executions import executions

idempotency = Table(
    "idempotency",
    metadata,
    Column("organization_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True),
    # SHA-256 of method, path and body.
    Column("fingerprint", LargeBinary, nullable=False),
    # A key lives as long as the tombstone of its execution, or those of its batch.
    Column(
        "execution_uuid",
        UUID(as_uuid=True),
        ForeignKey(executions.c.uuid, ondelete="CASCADE"),
        index=True,
    ),
    Column("batch_uuid", UUID(as_uuid=True), ForeignKey(batches.c.uuid, ondelete="CASCADE"), index=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("num_nonnulls(execution_uuid, batch_uuid) = 1", name="stands"),
)
