"""Pipelines, their published versions, and the tags that point at them."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID

from shared.models import metadata

#: Ids of properties and layers; Discuro's results are keyed by them.
node_ids = Sequence("node_ids", metadata=metadata)

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, server_default=text("gen_random_uuid()")),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("handle", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("archived_at", DateTime(timezone=True)),
    UniqueConstraint("organization_id", "handle"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, server_default=text("gen_random_uuid()")),
    Column("pipeline_id", ForeignKey(pipelines.c.id), nullable=False),
    Column("number", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    Column("definition", JSON(none_as_null=True), nullable=False),
    # Path of a property or layer → its integer id.
    Column("node_ids", JSONB(none_as_null=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Null for a draft. The version published last is `latest`, also when it is an old one published again.
    Column("published_at", DateTime(timezone=True)),
    UniqueConstraint("pipeline_id", "number"),
    UniqueConstraint("pipeline_id", "hash"),
    Index(
        "versions_latest_index",
        "pipeline_id",
        text("published_at DESC"),
        postgresql_where=text("published_at IS NOT NULL"),
    ),
)

tags = Table(
    "tags",
    metadata,
    Column("pipeline_id", ForeignKey(pipelines.c.id), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version_id", ForeignKey(versions.c.id), nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
