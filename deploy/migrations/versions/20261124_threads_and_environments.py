"""Threads with their messages, environments with their variables, and what an execution has of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    op.add_column("executions", sa.Column("environment", sa.Text(), nullable=True))
    op.add_column("executions", sa.Column("thread_id", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("channel", sa.Text(), nullable=True))
    op.add_column("executions", sa.Column("history_until", sa.BigInteger(), nullable=True))
    op.add_column("contents", sa.Column("variables", sa.LargeBinary(), nullable=True))
    op.add_column("layer_results", sa.Column("said", postgresql.JSON(none_as_null=True), nullable=True))
    _create_threads()
    _create_environments()
    with op.get_context().autocommit_block():
        op.create_index(
            "executions_thread_index",
            "executions",
            ["thread_id", "channel", "id"],
            postgresql_where=sa.text("thread_id IS NOT NULL AND ended_at IS NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "executions_blocked_index",
            "executions",
            ["thread_id", "channel", "id"],
            postgresql_where=sa.text("blocked_by = 'thread'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "executions_thread_list_index",
            "executions",
            ["thread_id", "id"],
            postgresql_where=sa.text("thread_id IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def _create_threads() -> None:
    op.create_table(
        "threads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("threads_organization_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("threads_pkey")),
        sa.UniqueConstraint("organization_id", "uuid", name=op.f("threads_organization_id_uuid_key")),
    )
    op.create_index(op.f("threads_used_at_index"), "threads", ["used_at"])
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("thread_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("execution_uuid", postgresql.UUID(as_uuid=True), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint("role IN ('user','assistant')", name=op.f("messages_role_check")),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.id"], name=op.f("messages_thread_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("messages_pkey")),
    )
    op.create_index("messages_channel_index", "messages", ["thread_id", "channel", "id"])
    op.create_index("messages_thread_index", "messages", ["thread_id", "id"])


def _create_environments() -> None:
    op.create_table(
        "environments",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("environments_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "name", name=op.f("environments_pkey")),
    )
    op.create_table(
        "variables",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("variables_organization_id_fkey")),
        sa.ForeignKeyConstraint(
            ["organization_id", "environment"],
            ["environments.organization_id", "environments.name"],
            name=op.f("variables_organization_id_environment_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "environment", "name", name=op.f("variables_pkey")),
    )


def downgrade() -> None:
    op.drop_table("variables")
    op.drop_table("environments")
    op.drop_table("messages")
    op.drop_table("threads")
    op.drop_index("executions_thread_list_index", "executions")
    op.drop_index("executions_blocked_index", "executions")
    op.drop_index("executions_thread_index", "executions")
    for column in ("environment", "thread_id", "channel", "history_until"):
        op.drop_column("executions", column)
    op.drop_column("contents", "variables")
    op.drop_column("layer_results", "said")
