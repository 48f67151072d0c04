"""What is wrong with a request, as RFC 9457 has it."""

from marshmallow import fields

from shared.kinds import Strict


class Fault(Strict):
    """One thing that is wrong, and where."""

    field = fields.String(required=True)
    message = fields.String(required=True)


class Problem(Strict):
    """An error, as RFC 9457 has it."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(Fault))
    reason = fields.String(metadata={"description": "With 410: `expired`."})
    execution = fields.Dict(metadata={"description": "With 410: what is still known of the execution."})
