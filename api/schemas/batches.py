"""Batches: many executions in one request."""

from marshmallow import fields, validate

from api.schemas.executions import STATUSES, Summary, Usage
from api.schemas.orders import Order
from api.schemas.pages import SHORT, Page
from api.schemas.problems import Fault
from shared.kinds import Strict

_PIPELINE = "Handle, uuid or id; of lines that name none."


class StartBatch(Strict):
    """Query of a new batch."""

    pipeline = fields.String(validate=SHORT, metadata={"description": _PIPELINE})
    version = fields.String(
        load_default="latest",
        validate=SHORT,
        metadata={"description": "Number, tag, uuid or `latest`; of lines that name none."},
    )
    atomic = fields.Boolean(
        load_default=False, metadata={"description": "Refuse all where one line is bad; else only the bad ones."}
    )


class BatchLine(Order):
    """A line of a batch: what a single execution is started with but a thread, and of which pipeline it is."""

    class Meta(Order.Meta):
        """marshmallow's own options; the lines of a batch have no order among themselves, which a thread wants."""

        exclude = ("thread", "channel")

    pipeline = fields.String(validate=SHORT, metadata={"description": "Handle, uuid or id; the query's by default."})
    version = fields.Raw(
        metadata={
            "description": "Number, tag, uuid or `latest`; the query's by default.",
            "type": ["string", "integer"],
        }
    )


class RefusedLine(Strict):
    """A line that was not accepted, and why."""

    line = fields.Integer(required=True, metadata={"description": "From 1, blank lines counted."})
    errors = fields.List(fields.Nested(Fault), required=True)


class Counts(Strict):
    """How many executions are in each status."""

    waiting = fields.Integer(required=True)
    queued = fields.Integer(required=True)
    running = fields.Integer(required=True)
    succeeded = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    cancelled = fields.Integer(required=True)


class Batch(Strict):
    """A batch, and what has come of it so far."""

    uuid = fields.UUID(required=True)
    total = fields.Integer(required=True, metadata={"description": "Lines that were sent, blank ones left out."})
    accepted = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    ended = fields.Boolean(required=True, metadata={"description": "True once every execution of it has."})
    progress = fields.Float(required=True, metadata={"description": "Ended executions of those accepted, 0 to 1."})
    counts = fields.Nested(Counts, required=True)
    cancelling = fields.Integer(required=True, metadata={"description": "Of those that run, how many are to stop."})
    accepted_at = fields.DateTime(required=True)
    cancel_requested_at = fields.DateTime(required=True, allow_none=True)
    first_started_at = fields.DateTime(required=True, allow_none=True)
    last_ended_at = fields.DateTime(required=True, allow_none=True)
    usage = fields.Nested(Usage, required=True, metadata={"description": "Of those that have ended."})
    cost = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "US dollars, of those that have ended; null where no price is known."},
    )
    expired = fields.Boolean(required=True, metadata={"description": "True once the results of all have expired."})
    faults = fields.List(fields.Nested(RefusedLine), required=True, metadata={"description": "The refused lines."})


class CancelledBatch(Batch):
    """A batch, and what this request has done to it."""

    cancelled_now = fields.Integer(required=True, metadata={"description": "Executions that it has cancelled."})
    stopping_now = fields.Integer(required=True, metadata={"description": "Running ones that it has asked to stop."})


class ListBatch(Page):
    """Query of the list of a batch's executions."""

    status = fields.String(validate=validate.OneOf(STATUSES))


class LineSummary(Summary):
    """An execution of a batch, without its content."""

    line = fields.Integer(required=True, metadata={"description": "The line that asked for it."})


class BatchExecutions(Strict):
    """A page of a batch's executions, by line."""

    executions = fields.List(fields.Nested(LineSummary), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
