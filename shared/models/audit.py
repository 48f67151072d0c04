"""Who changed what of an organization; only ever added to."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.models import metadata

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("organization_id", ForeignKey("organizations.id"), nullable=False),
    # The key that asked for it; keys are revoked, never deleted.
    Column("key_id", BigInteger),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # A noun and what became of it: `variable.set`.
    Column("action", Text, nullable=False),
    # What it was done to, as its route names it.
    Column("subject", Text, nullable=False),
    Column("details", JSONB(none_as_null=True)),
    Index("audit_list_index", "organization_id", text("id DESC")),
)
