"""Why an execution waits."""

from marshmallow import fields, validate

from api.schemas.executions import STATUSES
from shared import explanations
from shared.kinds import Strict


class Cause(Strict):
    """The first thing that must change, and the values that belong to its code."""

    code = fields.String(
        required=True,
        validate=validate.OneOf(explanations.CODES),
        metadata={
            "description": "`schedule`: it is not due; `thread`: others on its thread and channel come before it;"
            " `pacing`: the provider of its model takes no more for now;"
            " `cap`: as many of its organization run as may; `no_worker`: none lives that serves its queue; `slots`:"
            " all of them are busy; `turn`: others come before it; `next`: it is about to start; `running`;"
            " `cancelling`; `ended`."
        },
    )
    message = fields.String(required=True, metadata={"description": "A sentence for people."})
    until = fields.DateTime(metadata={"description": "With `schedule` and `pacing`: until when."})
    thread = fields.UUID(metadata={"description": "With `thread`: the conversation, and `channel` the lane of it."})
    channel = fields.String()
    behind = fields.UUID(
        allow_none=True, metadata={"description": "With `thread`: the execution whose end it waits for."}
    )
    thread_ahead = fields.Integer(metadata={"description": "With `thread`: how many wait with it and come before it."})
    limit = fields.Integer(allow_none=True, metadata={"description": "With `cap`: how many may run at once."})
    running = fields.Integer(
        metadata={"description": "With `cap`: of its organization; else in the slots of the workers of its queue."}
    )
    slots = fields.Integer(metadata={"description": "How many the live workers of its queue can run at once."})
    others_ahead = fields.Integer(metadata={"description": "With `turn`: of other organizations, before it."})
    since = fields.DateTime(metadata={"description": "When it started first, or its cancel was asked for."})
    leased = fields.Boolean(
        metadata={"description": "Whether its worker's lease holds; if not, it is about to be taken from it."}
    )
    layers = fields.List(fields.String(), metadata={"description": "With `running`: paths of the layers that run now."})
    reason = fields.String(allow_none=True, metadata={"description": "With `ended`: the reason code, if there is one."})
    ended_at = fields.DateTime()


class Explanation(Strict):
    """Where an execution stands, and why."""

    id = fields.Integer(required=True)
    uuid = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    cause = fields.Nested(Cause, required=True)
    place = fields.Integer(
        required=True, allow_none=True, metadata={"description": "1 is next; null where it is not `queued`."}
    )
    ahead = fields.Integer(
        required=True, allow_none=True, metadata={"description": "How many come before it; null as `place`."}
    )
    own_ahead = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "How many of them are its own organization's; where it waits for the cap, those of its queue"
            " that wait for it before."
        },
    )
    more_than = fields.Boolean(
        required=True,
        metadata={"description": "True where counting stopped at 10,000: there are more before it than it says."},
    )
    estimate_seconds = fields.Float(
        required=True, allow_none=True, metadata={"description": "Until its start; null where nothing can be said."}
    )
    attempt = fields.Integer(required=True, metadata={"description": "How often a worker has taken it up."})
    deaths = fields.Integer(required=True, metadata={"description": "How many workers have died while they ran it."})
    suspect = fields.Boolean(
        required=True, metadata={"description": "True from the second death on: it runs alone, away from others."}
    )
