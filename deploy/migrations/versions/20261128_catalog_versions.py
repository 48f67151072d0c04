"""How often anything has changed that names a pipeline's version, by organization."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# In the transaction of every change, whoever makes it: who has read the number knows that what was looked up under it
# is still so.
COUNTED = """
CREATE FUNCTION pipelines_are_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organizations SET catalog_version = catalog_version + 1
     WHERE id = coalesce(NEW.organization_id, OLD.organization_id);
    RETURN NULL;
END $$;
CREATE TRIGGER pipelines_are_counted AFTER INSERT OR UPDATE OR DELETE ON pipelines
    FOR EACH ROW EXECUTE FUNCTION pipelines_are_counted();

CREATE FUNCTION what_names_versions_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organizations SET catalog_version = catalog_version + 1
     WHERE id = (SELECT organization_id FROM pipelines WHERE id = coalesce(NEW.pipeline_id, OLD.pipeline_id));
    RETURN NULL;
END $$;
CREATE TRIGGER versions_are_counted AFTER INSERT OR UPDATE OR DELETE ON versions
    FOR EACH ROW EXECUTE FUNCTION what_names_versions_is_counted();
CREATE TRIGGER tags_are_counted AFTER INSERT OR UPDATE OR DELETE ON tags
    FOR EACH ROW EXECUTE FUNCTION what_names_versions_is_counted();
"""


def upgrade() -> None:
    op.add_column(
        "organizations", sa.Column("catalog_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.execute(COUNTED)


def downgrade() -> None:
    for table, function in (
        ("tags", "tags_are_counted"),
        ("versions", "versions_are_counted"),
        ("pipelines", "pipelines_are_counted"),
    ):
        op.execute(f"DROP TRIGGER {function} ON {table}")
    op.execute("DROP FUNCTION what_names_versions_is_counted(); DROP FUNCTION pipelines_are_counted()")
    op.drop_column("organizations", "catalog_version")
