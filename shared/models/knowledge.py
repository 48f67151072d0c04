"""Knowledge: folders of an organization, the documents in them, and the chunks that are searched."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR, UUID

from shared.models import metadata

folders = Table(
    "folders",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, server_default=func.gen_random_uuid()),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    Column("handle", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("organization_id", "handle"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, server_default=func.gen_random_uuid()),
    Column("organization_id", BigInteger, nullable=False),
    Column("folder_id", ForeignKey(folders.c.id, ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    # SHA-256 of what was handed in.
    Column("hash", LargeBinary, nullable=False),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("metadata", JSONB(none_as_null=True), nullable=False, server_default="{}"),
    Column("status", Text, nullable=False, server_default="pending"),
    # Why it failed, for whoever handed it in.
    Column("error", Text),
    # Fences every write of who processes it; never goes back.
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Attempts that nobody has heard of again.
    Column("deaths", Integer, nullable=False, server_default="0"),
    # When it may be taken, or taken again: whoever processes it moves this ahead, as a lease.
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("chunks", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('pending','ready','failed')", name="status"),
    CheckConstraint("(status = 'pending') = (ended_at IS NULL)", name="ended"),
    Index("documents_due_index", "due_at", "id", postgresql_where=text("status = 'pending'")),
    Index("documents_list_index", "organization_id", "id"),
    Index("documents_folder_index", "folder_id", "id"),
)

document_bodies = Table(
    "document_bodies",
    metadata,
    Column("document_id", ForeignKey(documents.c.id, ondelete="CASCADE"), primary_key=True),
    # What was handed in, until it is processed; then the text that was found in it.
    Column("body", LargeBinary),
    Column("text", Text),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("document_id", ForeignKey(documents.c.id, ondelete="CASCADE"), nullable=False),
    # The document's, so that a search need not look at documents to leave most chunks out.
    Column("folder_id", BigInteger, nullable=False),
    # In the document, from 0.
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    # About how many tokens it has.
    Column("tokens", Integer, nullable=False),
    # Where it begins: the page, and the headings that it stands under.
    Column("page", Integer),
    Column("heading", Text),
    Column(
        "search",
        TSVECTOR,
        Computed("to_tsvector('english'::regconfig, coalesce(heading, '') || ' ' || text)", persisted=True),
        nullable=False,
    ),
    UniqueConstraint("document_id", "number"),
    Index("chunks_folder_index", "folder_id"),
    Index("chunks_search_index", "search", postgresql_using="gin"),
)
