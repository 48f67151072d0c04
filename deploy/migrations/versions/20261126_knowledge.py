"""Knowledge: folders, documents, and their chunks; vectors of them where Postgres has pgvector."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_UUID = sa.text("gen_random_uuid()")
# Where it is there, or can be had: an extension that is missing, or that needs a superuser, is done without.
_VECTORS = """
    DO $$ BEGIN
        CREATE EXTENSION IF NOT EXISTS vector;
        CREATE TABLE chunk_vectors (
            chunk_id bigint PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
            -- provider/model
            model text NOT NULL,
            embedding vector NOT NULL
        );
    EXCEPTION WHEN undefined_file OR feature_not_supported OR insufficient_privilege THEN
        RAISE NOTICE 'no vectors, search is by words alone: %', SQLERRM;
    END $$
"""


def upgrade() -> None:
    _create_folders()
    _create_documents()
    _create_chunks()
    op.execute(_VECTORS)


def _create_folders() -> None:
    op.create_table(
        "folders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), server_default=_UUID, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("folders_organization_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("folders_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("folders_uuid_key")),
        sa.UniqueConstraint("organization_id", "handle", name=op.f("folders_organization_id_handle_key")),
    )


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), server_default=_UUID, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("metadata", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("chunks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('pending','ready','failed')", name=op.f("documents_status_check")),
        sa.CheckConstraint("(status = 'pending') = (ended_at IS NULL)", name=op.f("documents_ended_check")),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name=op.f("documents_folder_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("documents_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("documents_uuid_key")),
    )
    op.create_index(
        "documents_due_index", "documents", ["due_at", "id"], postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index("documents_list_index", "documents", ["organization_id", "id"])
    op.create_index("documents_folder_index", "documents", ["folder_id", "id"])
    op.create_table(
        "document_bodies",
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("document_bodies_document_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", name=op.f("document_bodies_pkey")),
    )


def _create_chunks() -> None:
    searched = sa.Computed("to_tsvector('english'::regconfig, coalesce(heading, '') || ' ' || text)", persisted=True)
    op.create_table(
        "chunks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("heading", sa.Text(), nullable=True),
        sa.Column("search", postgresql.TSVECTOR(), searched, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("chunks_document_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("chunks_pkey")),
        sa.UniqueConstraint("document_id", "number", name=op.f("chunks_document_id_number_key")),
    )
    op.create_index("chunks_folder_index", "chunks", ["folder_id"])
    op.create_index("chunks_search_index", "chunks", ["search"], postgresql_using="gin")


def downgrade() -> None:
    # The extension stays: it may have been there before, and belong to others.
    op.execute("DROP TABLE IF EXISTS chunk_vectors")
    op.drop_table("chunks")
    op.drop_table("document_bodies")
    op.drop_table("documents")
    op.drop_table("folders")
