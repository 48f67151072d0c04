"""Executions: the narrow row that becomes the tombstone, its content, and the checkpoints of its layers."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID

from shared.models import metadata

executions = Table(
    "executions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # Made before the INSERT, so that a commit whose answer was lost can be looked up.
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True),
    # Organization and version are never deleted, and a foreign key would lock their rows at every accept.
    Column("organization_id", BigInteger, nullable=False),
    Column("version_id", BigInteger, nullable=False),
    # The key that asked for it.
    Column("key_id", BigInteger),
    # The execution that this one replays or repairs.
    Column("origin_id", BigInteger),
    Column("status", Text, nullable=False),
    Column("queue", Text, nullable=False),
    # The lowest rank of a worker's queues is claimed next; infinite for what could never be claimed yet.
    Column("rank", DateTime(timezone=True), nullable=False),
    Column("blocked_by", Text),
    Column("not_before", DateTime(timezone=True)),
    # Until when it was put aside last, because a provider's limit was reached.
    Column("parked_until", DateTime(timezone=True)),
    # Fences every write of a worker; never goes back.
    Column("attempt", Integer, nullable=False, server_default="0"),
    # Attempts that ended with the death of their worker.
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("worker", UUID(as_uuid=True)),
    Column("cancel_requested_at", DateTime(timezone=True)),
    Column("accepted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("deadline_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    # From then on content is unreadable, whether or not it is deleted yet.
    Column("expires_at", DateTime(timezone=True)),
    Column("erased_at", DateTime(timezone=True)),
    # Why it failed: a reason code.
    Column("reason", Text),
    Column("usage", JSONB(none_as_null=True)),
    # US dollars for the usage; null where no price is known.
    Column("cost", Numeric(20, 10)),
    # What may be spent on it; null for no bound.
    Column("max_cost_usd", Numeric(20, 10)),
    Column("max_tokens", BigInteger),
    # The batch that it belongs to, and its line in that.
    Column("batch_id", BigInteger),
    Column("batch_line", Integer),
    # The scope of its variables and of the webhooks that are told of it; null for `default`.
    Column("environment", Text),
    # The conversation that it belongs to, and the lane in that; ended executions may outlive the thread.
    Column("thread_id", BigInteger),
    Column("channel", Text),
    # The last message of the thread at the first claim: no later one is read.
    Column("history_until", BigInteger),
    CheckConstraint("status IN ('waiting','queued','running','succeeded','failed','cancelled')", name="status"),
    CheckConstraint("queue IN ('onsite','normal','low')", name="queue"),
    CheckConstraint("(status IN ('succeeded','failed','cancelled')) = (ended_at IS NOT NULL)", name="ended"),
    CheckConstraint("(status = 'waiting') = (blocked_by IS NOT NULL)", name="blocked"),
    CheckConstraint("(status = 'running') = (worker IS NOT NULL)", name="owned"),
    Index("executions_claim_index", "queue", "rank", postgresql_where=text("status = 'queued'")),
    # The turns of an organization, how much it has queued and running, and by which keys.
    Index(
        "executions_place_index",
        "organization_id",
        "status",
        "queue",
        "rank",
        postgresql_include=["key_id"],
        postgresql_where=text("status IN ('waiting','queued','running')"),
    ),
    Index(
        "executions_cap_index",
        "organization_id",
        "queue",
        "rank",
        "id",
        postgresql_where=text("blocked_by = 'cap'"),
    ),
    Index("executions_waiting_index", "not_before", postgresql_where=text("status = 'waiting'")),
    Index("executions_parked_index", "parked_until", postgresql_where=text("blocked_by = 'pacing'")),
    Index("executions_running_index", "worker", postgresql_where=text("status = 'running'")),
    Index("executions_deadline_index", "deadline_at", postgresql_where=text("ended_at IS NULL")),
    Index(
        "executions_expiry_index",
        "expires_at",
        postgresql_where=text("ended_at IS NOT NULL AND erased_at IS NULL"),
    ),
    Index("executions_tombstone_index", "expires_at", postgresql_where=text("erased_at IS NOT NULL")),
    Index("executions_list_index", "organization_id", text("id DESC")),
    # Who is on a thread and channel, and whose turn it is there.
    Index(
        "executions_thread_index",
        "thread_id",
        "channel",
        "id",
        postgresql_where=text("thread_id IS NOT NULL AND ended_at IS NULL"),
    ),
    Index(
        "executions_blocked_index",
        "thread_id",
        "channel",
        "id",
        postgresql_where=text("blocked_by = 'thread'"),
    ),
    Index("executions_thread_list_index", "thread_id", "id", postgresql_where=text("thread_id IS NOT NULL")),
    Index("executions_batch_index", "batch_id", "batch_line", postgresql_where=text("batch_id IS NOT NULL")),
    # Room on the page for the three updates of a life.
    postgresql_with={"fillfactor": "70"},
)

# Written and deleted in statements that hold the execution's row, or write it; a foreign key, here or of the results,
# would look for that row at every step again.
contents = Table(
    "contents",
    metadata,
    Column("execution_id", BigInteger, primary_key=True, autoincrement=False),
    # JSON rather than JSONB: what is never searched keeps its order, and is cheaper to write.
    Column("inputs", JSON(none_as_null=True), nullable=False),
    Column("tags", JSONB(none_as_null=True), nullable=False),
    Column("metadata", JSONB(none_as_null=True), nullable=False),
    Column("end_user", Text),
    # JSON null where the document is null, SQL null where there is none.
    Column("output", JSON(none_as_null=True)),
    # What the report says of a failure that belongs to no layer.
    Column("error", Text),
    # Which version each pipeline layer runs, by `handle@version`, as it was when the execution was accepted.
    Column("pins", JSONB(none_as_null=True)),
    # Sealed: the values of the variables that its definition names, a JSON object.
    Column("variables", LargeBinary),
)

layer_results = Table(
    "layer_results",
    metadata,
    Column("execution_id", BigInteger, primary_key=True, autoincrement=False),
    # Names the layer: `reviews/write`, inside others `reviews/each[12]/rank`; a property where it was skipped.
    Column("path", Text, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("output", JSON(none_as_null=True)),
    Column("error", Text),
    Column("reason", Text),
    Column("usage", JSONB(none_as_null=True)),
    # Requests sent to a provider, retries included.
    Column("calls", Integer, nullable=False, server_default="0"),
    Column("provider_response_id", Text),
    # The database's time at the record; the start is that less the seconds that the layer took.
    Column("ended_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seconds", Float, nullable=False),
    # US dollars for the usage; null where no price is known.
    Column("cost", Numeric(20, 10)),
    # What else the report tells of it, by name.
    Column("details", JSONB(none_as_null=True)),
    # A layer, or a property, whose condition did not hold: it has passed without an output.
    Column("skipped", Boolean, nullable=False, server_default="false"),
    # What it adds to its thread if the execution succeeds: `{channel, user, assistant}`.
    Column("said", JSON(none_as_null=True)),
    CheckConstraint("passed = (error IS NULL)", name="passed"),
)
