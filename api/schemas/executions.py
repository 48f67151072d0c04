"""Executions as they are listed and reported."""

from marshmallow import fields, validate

from api.schemas.costs import Cost
from api.schemas.pages import SHORT, Page
from shared.executions import ENDED
from shared.kinds import Strict
from shared.order import QUEUES
from shared.report import STATES

STATUSES = ("waiting", "queued", "running", *ENDED)
RETRIED = "How much of `usage` was for answers that were asked for again."


class ListExecutions(Page):
    """Query of the list of executions."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    pipeline = fields.String(validate=SHORT, metadata={"description": "Handle, uuid or id."})
    version = fields.String(validate=SHORT, metadata={"description": "Number, tag, uuid or `latest`; with `pipeline`."})
    tag = fields.List(fields.String(), metadata={"description": "`key:value`; may be given often."})
    metadata = fields.List(fields.String(), metadata={"description": "`key:value` of a text; may be given often."})
    end_user = fields.String(validate=SHORT)
    thread = fields.UUID(metadata={"description": "Only those of a thread, by its uuid."})
    accepted_after = fields.AwareDateTime(format="iso")
    accepted_before = fields.AwareDateTime(format="iso")


class Reference(Strict):
    """The version that an execution runs."""

    handle = fields.String(required=True)
    version = fields.Integer(required=True)
    uuid = fields.UUID(required=True)


class Usage(Strict):
    """Tokens as the provider counted them."""

    prompt_tokens = fields.Integer(required=True)
    completion_tokens = fields.Integer(required=True)
    total_tokens = fields.Integer(required=True)


class Uncertain(Strict):
    """Calls that were cut before their answers: they may have been paid, and are not part of usage and cost."""

    calls = fields.Integer(required=True)
    tokens = fields.Integer(required=True, metadata={"description": "At most; as estimated before they were sent."})
    cost = Cost(required=True)


class Failure(Strict):
    """Why something failed: a reason code, and the provider's own words where it answered."""

    reason = fields.String(required=True, allow_none=True, metadata={"description": "A code that programs can act on."})
    message = fields.String(
        required=True, allow_none=True, metadata={"description": "The provider's body verbatim, or a sentence of ours."}
    )


class Layer(Strict):
    """One layer of a property."""

    id = fields.Integer(required=True)
    name = fields.String(required=True, allow_none=True)
    path = fields.String(required=True, metadata={"description": "Property and layer: `reviews/write`."})
    kind = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    started_at = fields.DateTime(required=True, allow_none=True)
    ended_at = fields.DateTime(required=True, allow_none=True)
    attempt = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Which attempt ran it; 0 where it was kept."}
    )
    calls = fields.Integer(required=True, metadata={"description": "Requests sent to a provider, retries included."})
    output = fields.Raw(required=True, allow_none=True)
    usage = fields.Nested(Usage, required=True, allow_none=True)
    cost = Cost(required=True)
    retried_usage = fields.Nested(Usage, required=True, metadata={"description": RETRIED})
    uncertain = fields.Nested(Uncertain, required=True)
    details = fields.Dict(
        required=True,
        metadata={"description": "What else there is to tell, such as `model`, which answered, and `cached`."},
    )
    error = fields.Nested(Failure, required=True, allow_none=True)
    inner = fields.Nested(
        lambda: Inner(),
        required=True,
        allow_none=True,
        metadata={"description": "Of a map, loop or pipeline: what ran inside of it."},
    )


class Inner(Strict):
    """The layers inside of a layer that have ended: how many, and the first 500, those that failed before others."""

    passed = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    layers = fields.List(fields.Nested(Layer), required=True)


class ListInnerLayers(Page):
    """Query of the layers inside of layers."""

    under = fields.String(
        load_default="",
        validate=validate.Length(max=2000),
        metadata={"description": "Only paths that begin so: `reviews/each[12]`."},
    )


class InnerLayers(Strict):
    """A page of the layers inside of layers, by path."""

    layers = fields.List(fields.Nested(Layer), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Property(Strict):
    """One property of the document."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    started_at = fields.DateTime(required=True, allow_none=True)
    ended_at = fields.DateTime(required=True, allow_none=True)
    value = fields.Raw(required=True, allow_none=True)
    error = fields.Nested(Failure, required=True, allow_none=True)
    layers = fields.List(fields.Nested(Layer), required=True)


class Summary(Strict):
    """An execution in a list, without its content."""

    id = fields.Integer(required=True)
    uuid = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    reason = fields.String(required=True, allow_none=True)
    pipeline = fields.Nested(Reference, required=True)
    queue = fields.String(required=True, validate=validate.OneOf(QUEUES))
    accepted_at = fields.DateTime(required=True)
    started_at = fields.DateTime(required=True, allow_none=True)
    ended_at = fields.DateTime(required=True, allow_none=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    expired = fields.Boolean(required=True)
    usage = fields.Nested(Usage, required=True)
    cost = Cost(required=True)
    thread = fields.UUID(required=True, allow_none=True)
    channel = fields.String(required=True, allow_none=True)
    environment = fields.String(required=True)


class Executions(Strict):
    """A page of executions, newest first."""

    executions = fields.List(fields.Nested(Summary), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Execution(Strict):
    """The report of an execution."""

    id = fields.Integer(required=True)
    uuid = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    blocked_by = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why it is `waiting`: `schedule`, `thread`, `cap` or `pacing`."},
    )
    pipeline = fields.Nested(Reference, required=True)
    origin_id = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The execution that this one replays or repairs."}
    )
    priority = fields.String(required=True, validate=validate.OneOf(QUEUES))
    attempt = fields.Integer(
        required=True, metadata={"description": "How often a worker has taken it up; 0 before the first time."}
    )
    accepted_at = fields.DateTime(required=True)
    not_before = fields.DateTime(required=True, allow_none=True)
    deadline_at = fields.DateTime(required=True, metadata={"description": "When it is failed if it has not ended."})
    started_at = fields.DateTime(required=True, allow_none=True)
    ended_at = fields.DateTime(required=True, allow_none=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    cancel_requested_at = fields.DateTime(required=True, allow_none=True)
    inputs = fields.Dict(required=True)
    tags = fields.Dict(required=True)
    metadata = fields.Dict(required=True)
    end_user = fields.String(required=True, allow_none=True)
    output = fields.Raw(
        required=True, allow_none=True, metadata={"description": "The document; until the end, what there is of it."}
    )
    error = fields.Nested(Failure, required=True, allow_none=True)
    usage = fields.Nested(Usage, required=True)
    cost = Cost(required=True)
    retried_usage = fields.Nested(Usage, required=True, metadata={"description": RETRIED})
    uncertain = fields.Nested(Uncertain, required=True)
    max_cost_usd = fields.Float(required=True, allow_none=True)
    max_tokens = fields.Integer(required=True, allow_none=True)
    thread = fields.UUID(
        required=True, allow_none=True, metadata={"description": "The conversation that it is part of, if any."}
    )
    channel = fields.String(required=True, allow_none=True, metadata={"description": "The lane of its thread."})
    environment = fields.String(required=True)
    properties = fields.List(fields.Nested(Property), required=True)


class Cancelling(Strict):
    """A cancel that a worker has not confirmed yet."""

    status = fields.String(required=True, validate=validate.OneOf(["cancelling"]))
