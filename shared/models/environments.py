"""Environments: named scopes of variables and webhooks; `default` is there without a row."""

from sqlalchemy import Column, DateTime, ForeignKey, ForeignKeyConstraint, LargeBinary, Table, Text, func

from shared.models import metadata

environments = Table(
    "environments",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

variables = Table(
    "variables",
    metadata,
    Column("organization_id", ForeignKey("organizations.id"), primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    # The value, sealed for this organization, environment and name.
    Column("sealed", LargeBinary, nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["organization_id", "environment"], ["environments.organization_id", "environments.name"], ondelete="CASCADE"
    ),
)
