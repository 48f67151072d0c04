"""Worker processes, the duties they share, and the pace of what they claim."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Integer, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from shared.models import metadata

workers = Table(
    "workers",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # What this process runs is its own until then.
    Column("lease_until", DateTime(timezone=True), nullable=False),
    postgresql_with={"fillfactor": "50"},
)

duties = Table(
    "duties",
    metadata,
    Column("duty", Text, primary_key=True),
    # The last time slot that somebody took the duty in; slots are whole periods since 1970.
    Column("slot", BigInteger, nullable=False),
)

pace = Table(
    "pace",
    metadata,
    # There is one row.
    Column("id", Integer, primary_key=True, autoincrement=False, server_default="1"),
    # The rank that the claims have come to, without what its queue adds; who comes new begins here.
    Column("at", DateTime(timezone=True), nullable=False),
    Column("measured_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("id = 1", name="only"),
    postgresql_with={"fillfactor": "50"},
)
