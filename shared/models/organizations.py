"""Tenants and their keys."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from shared.models import metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Its share of the slots where several organizations have work queued; 2 gets twice what 1 gets.
    Column("weight", Float, nullable=False, server_default="1"),
    # Executions that run at once; null for as many as there are slots.
    Column("max_running", Integer),
    # Executions that wait or are queued; null for what the settings say.
    Column("max_queued", Integer),
    # Executions accepted in a minute; null for what the settings say.
    Column("per_minute", Integer),
    # Counts, by triggers, every change of its pipelines, their versions and tags.
    Column("catalog_version", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("weight > 0 AND weight <= 1000", name="weight"),
    CheckConstraint("max_running >= 0", name="max_running"),
    CheckConstraint("max_queued >= 0", name="max_queued"),
    CheckConstraint("per_minute >= 0", name="per_minute"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("organization_id", ForeignKey(organizations.c.id), nullable=False, index=True),
    Column("name", Text, nullable=False, server_default=""),
    # The first characters of the key, to recognise it by.
    Column("prefix", Text, nullable=False),
    # SHA-256; a key has enough entropy that nothing slower is needed.
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    # To the minute: written at most once in one.
    Column("last_used_at", DateTime(timezone=True)),
    # As of the organization, for what this key starts; null for no limit of its own.
    Column("max_queued", Integer),
    Column("per_minute", Integer),
    CheckConstraint("max_queued >= 0", name="max_queued"),
    CheckConstraint("per_minute >= 0", name="per_minute"),
)
