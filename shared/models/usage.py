"""The books: calls that are under way, every call that has been sent, and what they came to in a day."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Identity, Index, Integer, Numeric, Table, Text, func

from shared.models import metadata

#: US dollars: a price is one for a million tokens.
Cost = Numeric(20, 10)

# Written before a call is sent, deleted with the record of its layer. What stays behind was cut: it is uncertain.
# No foreign key: it would lock the execution's row at every call.
calls = Table(
    "calls",
    metadata,
    Column("execution_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    # Counts within the attempt.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("model", Text, nullable=False),
    # What is estimated for it.
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cost", Cost),
    # The provider's id of an answer that is made in the background; whoever has it can fetch the answer.
    Column("response_id", Text),
    Column("sent_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    postgresql_with={"fillfactor": "70"},
)

# Insert-only, and outlives the executions; folded into days by a duty.
usage = Table(
    "usage",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("organization_id", BigInteger, nullable=False),
    Column("key_id", BigInteger),
    Column("execution_id", BigInteger, nullable=False),
    Column("version_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    # Of its intent; whoever books it again finds it here.
    Column("number", Integer),
    Column("path", Text, nullable=False),
    # provider/model
    Column("model", Text, nullable=False),
    # `answered`, `uncertain`, or a reason code.
    Column("outcome", Text, nullable=False),
    # What the provider counted, or what was estimated where the call is uncertain; null where nothing was counted.
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    # Null where no price is known.
    Column("cost", Cost),
    # False for an answer that was asked for again.
    Column("kept", Boolean, nullable=False),
    # True for a call that was cut before its answer.
    Column("uncertain", Boolean, nullable=False),
    Index("usage_organization_index", "organization_id", "at"),
    Index("usage_call_index", "execution_id", "attempt", "number", unique=True),
    Index("usage_at_index", "at"),
)

usage_days = Table(
    "usage_days",
    metadata,
    Column("organization_id", BigInteger, primary_key=True, autoincrement=False),
    # In UTC.
    Column("day", Date, primary_key=True),
    # 0 where no key asked.
    Column("key_id", BigInteger, primary_key=True, autoincrement=False),
    Column("pipeline_id", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost", Cost, nullable=False),
    # Of these, what was asked again.
    Column("retried_calls", BigInteger, nullable=False),
    Column("retried_tokens", BigInteger, nullable=False),
    Column("retried_cost", Cost, nullable=False),
    # Beside these, what was cut, as estimated.
    Column("uncertain_calls", BigInteger, nullable=False),
    Column("uncertain_tokens", BigInteger, nullable=False),
    Column("uncertain_cost", Cost, nullable=False),
    # Calls whose cost is not known, uncertain ones too.
    Column("unpriced_calls", BigInteger, nullable=False),
)
