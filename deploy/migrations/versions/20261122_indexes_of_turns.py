"""Indexes of an organization's own rows; the one that they replace goes.

They are built beside the running code, which finds its way by the new ones too. That cannot be undone by a rollback, so
a run that is cut off is simply run again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UNENDED = sa.text("status IN ('waiting','queued','running')")
_QUEUED = sa.text("status = 'queued'")
_CAPPED = sa.text("blocked_by = 'cap'")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("executions_place_index", "executions", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "executions_place_index",
            "executions",
            ["organization_id", "status", "queue", "rank"],
            postgresql_include=["key_id"],
            postgresql_where=_UNENDED,
            postgresql_concurrently=True,
        )
        op.drop_index("executions_cap_index", "executions", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "executions_cap_index",
            "executions",
            ["organization_id", "queue", "rank", "id"],
            postgresql_where=_CAPPED,
            postgresql_concurrently=True,
        )
        op.drop_index("executions_turn_index", "executions", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("executions_turn_index", "executions", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            "executions_turn_index",
            "executions",
            ["organization_id", "queue", "rank"],
            postgresql_where=_QUEUED,
            postgresql_concurrently=True,
        )
        op.drop_index("executions_cap_index", "executions", postgresql_concurrently=True, if_exists=True)
        op.drop_index("executions_place_index", "executions", postgresql_concurrently=True, if_exists=True)
