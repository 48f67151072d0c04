"""Tenants and their keys."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, LargeBinary, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY

from shared.models import metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
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
)
