"""Webhooks, what is owed to them, and the attempts to deliver it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")

# In the transaction that ends an execution, whatever ends it. Where nobody wants to know it costs one look at an index.
OWED_AT_THE_END = """
CREATE FUNCTION executions_end_is_owed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM webhooks WHERE organization_id = NEW.organization_id AND disabled_at IS NULL) THEN
        INSERT INTO deliveries (organization_id, webhook_id, event, subject, data)
        SELECT NEW.organization_id, w.id, 'execution.ended', NEW.uuid,
               json_build_object('id', NEW.id, 'uuid', NEW.uuid, 'status', NEW.status, 'reason', NEW.reason,
                                 'version', NEW.version_id, 'environment', w.environment,
                                 'accepted_at', NEW.accepted_at, 'ended_at', NEW.ended_at)
          FROM webhooks w
         WHERE w.organization_id = NEW.organization_id AND w.disabled_at IS NULL
           AND w.environment = coalesce(NEW.environment, 'default') AND 'execution.ended' = ANY (w.events)
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER executions_end_is_owed AFTER UPDATE ON executions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION executions_end_is_owed();
"""


def upgrade() -> None:
    _create_webhooks()
    _create_deliveries()
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("delivery_attempts_delivery_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("delivery_attempts_pkey")),
    )
    op.execute(OWED_AT_THE_END)
    # Every delivery is updated twice at least, and those that are due are looked for at the head of an index.
    op.execute("ALTER TABLE deliveries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)")


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.Text(), server_default="default", nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("tells_event", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("former_secret", sa.LargeBinary(), nullable=True),
        sa.Column("former_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expiring_until", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name=op.f("webhooks_disabled_check")),
        sa.CheckConstraint("(former_secret IS NULL) = (former_until IS NULL)", name=op.f("webhooks_former_check")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("webhooks_organization_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("webhooks_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("webhooks_uuid_key")),
    )
    op.create_index(
        "webhooks_enabled_index", "webhooks", ["organization_id"], postgresql_where=sa.text("disabled_at IS NULL")
    )
    op.create_index("webhooks_list_index", "webhooks", ["organization_id", "id"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", postgresql.UUID(as_uuid=True), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("data", postgresql.JSON(none_as_null=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("worker", postgresql.UUID(as_uuid=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("place", sa.SmallInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending','sending','delivered','failed')", name=op.f("deliveries_status_check")
        ),
        sa.CheckConstraint(
            "(status = 'sending') = (worker IS NOT NULL)"
            " AND (worker IS NULL) = (lease_until IS NULL) AND (worker IS NULL) = (place IS NULL)",
            name=op.f("deliveries_owned_check"),
        ),
        sa.CheckConstraint(
            "(status IN ('delivered','failed')) = (ended_at IS NOT NULL)", name=op.f("deliveries_ended_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("deliveries_uuid_key")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "deliveries_once_index",
        "deliveries",
        ["webhook_id", "event", "subject"],
        unique=True,
        postgresql_where=sa.text("event <> 'knowledge.ended'"),
    )
    pending, sending = sa.text("status = 'pending'"), sa.text("status = 'sending'")
    op.create_index("deliveries_due_index", "deliveries", ["webhook_id", "due_at"], postgresql_where=pending)
    op.create_index(
        "deliveries_places_index", "deliveries", ["webhook_id", "place"], unique=True, postgresql_where=sending
    )
    op.create_index("deliveries_lease_index", "deliveries", ["lease_until"], postgresql_where=sending)
    op.create_index("deliveries_list_index", "deliveries", ["webhook_id", sa.literal_column("id DESC")])
    op.create_index("deliveries_created_at_index", "deliveries", ["created_at"])


def downgrade() -> None:
    op.execute("DROP TRIGGER executions_end_is_owed ON executions")
    op.execute("DROP FUNCTION executions_end_is_owed()")
    op.drop_table("delivery_attempts")
    op.drop_table("deliveries")
    op.drop_table("webhooks")
