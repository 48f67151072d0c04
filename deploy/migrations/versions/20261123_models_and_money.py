"""The books of calls, budgets, the keys of providers, kept answers, batches, and what a layer has to tell of itself."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")
_COST = sa.Numeric(20, 10)


def upgrade() -> None:
    op.add_column("executions", sa.Column("max_cost_usd", _COST, nullable=True))
    op.add_column("executions", sa.Column("max_tokens", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("cost", _COST, nullable=True))
    op.add_column("executions", sa.Column("batch_id", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("batch_line", sa.Integer(), nullable=True))
    op.add_column("executions", sa.Column("parked_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("contents", sa.Column("pins", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column("layer_results", sa.Column("cost", _COST, nullable=True))
    op.add_column("layer_results", sa.Column("details", postgresql.JSONB(none_as_null=True), nullable=True))
    op.add_column("layer_results", sa.Column("skipped", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    _create_books()
    op.create_table(
        "provider_keys",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("provider_keys_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "provider", name=op.f("provider_keys_pkey")),
    )
    op.create_table(
        "kept_answers",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "hash", name=op.f("kept_answers_pkey")),
    )
    op.create_index(op.f("kept_answers_expires_at_index"), "kept_answers", ["expires_at"])
    op.create_table(
        "batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("faults", postgresql.JSON(none_as_null=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("batches_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("batches_uuid_key")),
    )
    _let_keys_stand_for_batches()
    with op.get_context().autocommit_block():
        op.create_index(
            "executions_batch_index",
            "executions",
            ["batch_id", "batch_line"],
            postgresql_where=sa.text("batch_id IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "executions_parked_index",
            "executions",
            ["parked_until"],
            postgresql_where=sa.text("blocked_by = 'pacing'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def _let_keys_stand_for_batches() -> None:
    op.alter_column("idempotency", "execution_uuid", nullable=True)
    op.add_column("idempotency", sa.Column("batch_uuid", postgresql.UUID(as_uuid=True), nullable=True))
    op.create_index(op.f("idempotency_batch_uuid_index"), "idempotency", ["batch_uuid"])
    op.create_foreign_key(
        op.f("idempotency_batch_uuid_fkey"), "idempotency", "batches", ["batch_uuid"], ["uuid"], ondelete="CASCADE"
    )
    op.create_check_constraint(
        op.f("idempotency_stands_check"), "idempotency", "num_nonnulls(execution_uuid, batch_uuid) = 1"
    )


def _create_books() -> None:
    op.create_table(
        "calls",
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", _COST, nullable=True),
        sa.Column("response_id", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "attempt", "number", name=op.f("calls_pkey")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "usage",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("total_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost", _COST, nullable=True),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("usage_pkey")),
    )
    op.create_index("usage_organization_index", "usage", ["organization_id", "at"])
    op.create_index("usage_call_index", "usage", ["execution_id", "attempt", "number"], unique=True)
    op.create_index("usage_at_index", "usage", ["at"])
    op.create_table(
        "usage_days",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("pipeline_id", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", _COST, nullable=False),
        sa.Column("retried_calls", sa.BigInteger(), nullable=False),
        sa.Column("retried_tokens", sa.BigInteger(), nullable=False),
        sa.Column("retried_cost", _COST, nullable=False),
        sa.Column("uncertain_calls", sa.BigInteger(), nullable=False),
        sa.Column("uncertain_tokens", sa.BigInteger(), nullable=False),
        sa.Column("uncertain_cost", _COST, nullable=False),
        sa.Column("unpriced_calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "day", "key_id", "pipeline_id", "model", name=op.f("usage_days_pkey")
        ),
    )


def downgrade() -> None:
    op.drop_index("executions_parked_index", "executions")
    op.drop_index("executions_batch_index", "executions")
    op.execute("DELETE FROM idempotency WHERE execution_uuid IS NULL")
    op.drop_column("idempotency", "batch_uuid")
    op.alter_column("idempotency", "execution_uuid", nullable=False)
    for table in ("batches", "kept_answers", "provider_keys", "usage_days", "usage", "calls"):
        op.drop_table(table)
    for column in ("skipped", "details", "cost"):
        op.drop_column("layer_results", column)
    op.drop_column("contents", "pins")
    for column in ("parked_until", "batch_line", "batch_id", "cost", "max_tokens", "max_cost_usd"):
        op.drop_column("executions", column)
