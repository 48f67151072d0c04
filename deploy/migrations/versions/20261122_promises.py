"""Caps, limits and fair turns, idempotency keys, and where a repeated execution comes from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LIMITS = ("max_queued", "per_minute")


def upgrade() -> None:
    op.add_column("organizations", sa.Column("weight", sa.Float(), server_default="1", nullable=False))
    op.add_column("organizations", sa.Column("max_running", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("organizations_weight_check"), "organizations", "weight > 0 AND weight <= 1000")
    op.create_check_constraint(op.f("organizations_max_running_check"), "organizations", "max_running >= 0")
    for table in ("organizations", "api_keys"):
        for limit in _LIMITS:
            op.add_column(table, sa.Column(limit, sa.Integer(), nullable=True))
            op.create_check_constraint(op.f(f"{table}_{limit}_check"), table, f"{limit} >= 0")
    op.add_column("executions", sa.Column("key_id", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("origin_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "idempotency",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("execution_uuid", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_uuid"],
            ["executions.uuid"],
            name=op.f("idempotency_execution_uuid_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "key", name=op.f("idempotency_pkey")),
    )
    op.create_index(op.f("idempotency_execution_uuid_index"), "idempotency", ["execution_uuid"])
    op.create_table(
        "pace",
        sa.Column("id", sa.Integer(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("pace_only_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("pace_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.execute("INSERT INTO pace (at, measured_at) VALUES (now(), now())")


def downgrade() -> None:
    op.drop_table("pace")
    op.drop_table("idempotency")
    op.drop_column("executions", "origin_id")
    op.drop_column("executions", "key_id")
    for table in ("organizations", "api_keys"):
        for limit in _LIMITS:
            op.drop_column(table, limit)
    op.drop_column("organizations", "max_running")
    op.drop_column("organizations", "weight")
