"""What operators ask."""

from marshmallow import fields

from shared.kinds import Strict


class Queue(Strict):
    """One queue, now."""

    queue = fields.String(required=True)
    queued = fields.Integer(required=True)
    running = fields.Integer(required=True)
    waiting = fields.Integer(required=True)
    oldest_seconds = fields.Float(
        required=True, metadata={"description": "How long the oldest queued execution has waited."}
    )
    slots = fields.Integer(required=True)
    wanted_slots = fields.Integer(
        required=True, metadata={"description": "Slots that it has use for now; scale workers by it."}
    )


class Queues(Strict):
    """Every queue."""

    queues = fields.List(fields.Nested(Queue), required=True)
