"""What organizations have of providers: their own keys, sealed, and answers that are kept for a while."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, LargeBinary, Table, Text, func

from shared.models import metadata

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("organization_id", BigInteger, ForeignKey("organizations.id"), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    # Its last characters, to recognise it by.
    Column("hint", Text, nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

kept_answers = Table(
    "kept_answers",
    metadata,
    Column("organization_id", BigInteger, primary_key=True, autoincrement=False),
    # SHA-256 of provider, model and the whole request.
    Column("hash", LargeBinary, primary_key=True),
    Column("answer", Text, nullable=False),
    # provider/model
    Column("model", Text, nullable=False),
    Column("kept_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)
