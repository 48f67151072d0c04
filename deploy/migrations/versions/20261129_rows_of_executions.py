"""No foreign keys from what is written at every step: contents and results of layers."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("contents", "layer_results")


def upgrade() -> None:
    for table in TABLES:
        op.drop_constraint(f"{table}_execution_id_fkey", table, type_="foreignkey")


def downgrade() -> None:
    for table in TABLES:
        op.create_foreign_key(
            f"{table}_execution_id_fkey", table, "executions", ["execution_id"], ["id"], ondelete="CASCADE"
        )
