"""Threads: conversations that executions share, and their messages by channel."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import UUID

from shared.models import metadata

threads = Table(
    "threads",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    # Chosen by a client or made here; another organization may have the same.
    Column("uuid", UUID(as_uuid=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # When an execution was last accepted on it, or has written to it.
    Column("used_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    UniqueConstraint("organization_id", "uuid"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("thread_id", ForeignKey(threads.c.id, ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    # The execution and layer that said it; null for what was copied from another thread.
    Column("execution_uuid", UUID(as_uuid=True)),
    Column("path", Text),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    # About how many tokens it has.
    Column("tokens", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("role IN ('user','assistant')", name="role"),
    Index("messages_channel_index", "thread_id", "channel", "id"),
    Index("messages_thread_index", "thread_id", "id"),
)
