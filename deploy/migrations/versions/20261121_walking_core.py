"""Tables of the walking core, and the trigger that keeps an ended execution as it is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Only the times of its expiry may change on an ended execution.
ENDED_IS_FINAL = """
CREATE FUNCTION executions_ended_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - '{expires_at,erased_at}'::text[] IS DISTINCT FROM
       to_jsonb(OLD) - '{expires_at,erased_at}'::text[] THEN
        RAISE EXCEPTION 'execution % has ended and never changes', OLD.id
              USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER executions_ended_is_final BEFORE UPDATE ON executions
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION executions_ended_is_final();
"""


def upgrade() -> None:
    op.execute("CREATE SEQUENCE node_ids")
    op.create_table(
        "duties",
        sa.Column("duty", sa.Text(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("duty", name=op.f("duties_pkey")),
    )
    op.create_table(
        "executions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("rank", sa.DateTime(timezone=True), nullable=False),
        sa.Column("blocked_by", sa.Text(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.UUID(), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("usage", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("(status = 'running') = (worker IS NOT NULL)", name=op.f("executions_owned_check")),
        sa.CheckConstraint("(status = 'waiting') = (blocked_by IS NOT NULL)", name=op.f("executions_blocked_check")),
        sa.CheckConstraint(
            "(status IN ('succeeded','failed','cancelled')) = (ended_at IS NOT NULL)",
            name=op.f("executions_ended_check"),
        ),
        sa.CheckConstraint("queue IN ('onsite','normal','low')", name=op.f("executions_queue_check")),
        sa.CheckConstraint(
            "status IN ('waiting','queued','running','succeeded','failed','cancelled')",
            name=op.f("executions_status_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("executions_pkey")),
        sa.UniqueConstraint("uuid", name=op.f("executions_uuid_key")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "executions_claim_index",
        "executions",
        ["queue", "rank"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "executions_deadline_index",
        "executions",
        ["deadline_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "executions_expiry_index",
        "executions",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL AND erased_at IS NULL"),
    )
    op.create_index(
        "executions_list_index", "executions", ["organization_id", sa.literal_column("id DESC")], unique=False
    )
    op.create_index(
        "executions_running_index",
        "executions",
        ["worker"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "executions_tombstone_index",
        "executions",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("erased_at IS NOT NULL"),
    )
    op.create_index(
        "executions_turn_index",
        "executions",
        ["organization_id", "queue", "rank"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "executions_waiting_index",
        "executions",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("organizations_pkey")),
        sa.UniqueConstraint("name", name=op.f("organizations_name_key")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("api_keys_organization_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("hash", name=op.f("api_keys_hash_key")),
    )
    op.create_index(op.f("api_keys_organization_id_index"), "api_keys", ["organization_id"], unique=False)
    op.create_table(
        "contents",
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("inputs", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("tags", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("end_user", sa.Text(), nullable=True),
        sa.Column("output", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("contents_execution_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("contents_pkey")),
    )
    op.create_table(
        "layer_results",
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("output", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("usage", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("calls", sa.Integer(), server_default="0", nullable=False),
        sa.Column("provider_response_id", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.CheckConstraint("passed = (error IS NULL)", name=op.f("layer_results_passed_check")),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executions.id"],
            name=op.f("layer_results_execution_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "path", name=op.f("layer_results_pkey")),
    )
    op.create_table(
        "pipelines",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("pipelines_organization_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pipelines_pkey")),
        sa.UniqueConstraint("organization_id", "handle", name=op.f("pipelines_organization_id_handle_key")),
        sa.UniqueConstraint("uuid", name=op.f("pipelines_uuid_key")),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("pipeline_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSON(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("node_ids", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name=op.f("versions_pipeline_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("versions_pkey")),
        sa.UniqueConstraint("pipeline_id", "hash", name=op.f("versions_pipeline_id_hash_key")),
        sa.UniqueConstraint("pipeline_id", "number", name=op.f("versions_pipeline_id_number_key")),
        sa.UniqueConstraint("uuid", name=op.f("versions_uuid_key")),
    )
    op.create_index(
        "versions_latest_index",
        "versions",
        ["pipeline_id", sa.literal_column("published_at DESC")],
        unique=False,
        postgresql_where=sa.text("published_at IS NOT NULL"),
    )
    op.create_table(
        "tags",
        sa.Column("pipeline_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name=op.f("tags_pipeline_id_fkey")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("tags_version_id_fkey")),
        sa.PrimaryKeyConstraint("pipeline_id", "name", name=op.f("tags_pkey")),
    )
    op.execute(ENDED_IS_FINAL)
    # Every execution is updated three times in its life: dead rows must go long before the default fifth of the table.
    op.execute("ALTER TABLE executions SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)")


def downgrade() -> None:
    op.drop_table("tags")
    op.drop_index("versions_latest_index", table_name="versions", postgresql_where=sa.text("published_at IS NOT NULL"))
    op.drop_table("versions")
    op.drop_table("pipelines")
    op.drop_table("layer_results")
    op.drop_table("contents")
    op.drop_index(op.f("api_keys_organization_id_index"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("workers")
    op.drop_table("organizations")
    op.drop_index("executions_waiting_index", table_name="executions", postgresql_where=sa.text("status = 'waiting'"))
    op.drop_index("executions_turn_index", table_name="executions", postgresql_where=sa.text("status = 'queued'"))
    op.drop_index(
        "executions_tombstone_index",
        table_name="executions",
        postgresql_where=sa.text("erased_at IS NOT NULL"),
    )
    op.drop_index("executions_running_index", table_name="executions", postgresql_where=sa.text("status = 'running'"))
    op.drop_index("executions_list_index", table_name="executions")
    op.drop_index(
        "executions_expiry_index",
        table_name="executions",
        postgresql_where=sa.text("ended_at IS NOT NULL AND erased_at IS NULL"),
    )
    op.drop_index("executions_deadline_index", table_name="executions", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("executions_claim_index", table_name="executions", postgresql_where=sa.text("status = 'queued'"))
    op.drop_table("executions")
    op.drop_table("duties")
    op.execute("DROP FUNCTION executions_ended_is_final()")
    op.execute("DROP SEQUENCE node_ids")
