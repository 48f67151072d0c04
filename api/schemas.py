"""The schemas of the native API: what is accepted, and what is answered."""

import re
from datetime import datetime

from marshmallow import ValidationError, fields, validate

from shared import explanations
from shared.executions import ENDED
from shared.kinds import Strict, Whole
from shared.order import QUEUES
from shared.report import STATES

STATUSES = ("waiting", "queued", "running", *ENDED)
_SHORT = validate.Length(max=200)
#: A place in a stream of events, or the word for its end.
EVENT_ID = re.compile(r"(?:[0-9]{1,19}-[0-9]{1,19}|ended)\Z")


def _within_reach(moment: datetime) -> None:
    # Python knows no years beyond 1 to 9999, and what is stored near them cannot be read again in every time zone.
    if not 1970 <= moment.year < 2200:
        raise ValidationError("must be between 1970 and 2200")


class Publish(Strict):
    """Query of a publication."""

    draft = fields.Boolean(load_default=False, metadata={"description": "Publish without making it the latest."})


class Page(Strict):
    """Query of a list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before."})
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class MoveTag(Strict):
    """Body that points a tag at a version."""

    version = fields.Raw(
        required=True, metadata={"description": "Number, tag, uuid or `latest`.", "type": ["string", "integer"]}
    )


class Order(Strict):
    """Body of a new execution."""

    inputs = fields.Dict(keys=fields.String(), load_default=dict, metadata={"description": "Values by input name."})
    tags = fields.Dict(
        keys=fields.String(validate=_SHORT),
        values=fields.String(validate=validate.Length(max=2000)),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata={"description": "Free pairs, to find executions by."},
    )
    metadata = fields.Dict(
        keys=fields.String(validate=_SHORT),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata={"description": "Any JSON values, kept with the execution."},
    )
    end_user = fields.String(validate=_SHORT, metadata={"description": "Your user, to find executions by."})
    priority = fields.String(
        load_default="normal",
        validate=validate.OneOf(QUEUES),
        metadata={"description": "The queue; none of them starves another."},
    )
    deadline_seconds = Whole(
        validate=validate.Range(min=1, max=604_800),
        metadata={"description": "The execution is failed if it has not ended by then; the pipeline's by default."},
    )
    not_before = fields.AwareDateTime(
        format="iso",
        validate=_within_reach,
        metadata={"description": "RFC 3339 time with an offset; it waits until then."},
    )


class Replay(Strict):
    """Body of a replay; nothing has to be in it."""

    version = fields.Raw(
        metadata={
            "description": "Number, tag, uuid or `latest`; the version of the first execution by default.",
            "type": ["string", "integer"],
        }
    )
    deadline_seconds = Whole(
        validate=validate.Range(min=1, max=604_800),
        metadata={"description": "As for a new execution; as it was by default, or the other version's."},
    )


class Repair(Replay):
    """Body of a repair; nothing has to be in it."""

    again = fields.List(
        fields.String(validate=_SHORT),
        data_key="from",
        load_default=list,
        validate=validate.Length(max=1000),
        metadata={
            "description": "Layers (`reviews/rank`) or properties that run again although they passed, with all that"
            " depends on them."
        },
    )


class ListExecutions(Page):
    """Query of the list of executions."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    pipeline = fields.String(validate=_SHORT, metadata={"description": "Handle, uuid or id."})
    version = fields.String(
        validate=_SHORT, metadata={"description": "Number, tag, uuid or `latest`; with `pipeline`."}
    )
    tag = fields.List(fields.String(), metadata={"description": "`key:value`; may be given often."})
    metadata = fields.List(fields.String(), metadata={"description": "`key:value` of a text; may be given often."})
    end_user = fields.String(validate=_SHORT)
    accepted_after = fields.AwareDateTime(format="iso")
    accepted_before = fields.AwareDateTime(format="iso")


class Resume(Strict):
    """Query of a stream of events."""

    last_event_id = fields.String(
        validate=validate.Regexp(EVENT_ID, error="is not the id of an event"),
        metadata={"description": "As the header `Last-Event-ID`, which goes before it."},
    )


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
    error = fields.Nested(Failure, required=True, allow_none=True)


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
        required=True, allow_none=True, metadata={"description": "Why it is `waiting`: `schedule` or `cap`."}
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
    properties = fields.List(fields.Nested(Property), required=True)


class Cancelling(Strict):
    """A cancel that a worker has not confirmed yet."""

    status = fields.String(required=True, validate=validate.OneOf(["cancelling"]))


class Cause(Strict):
    """The first thing that must change, and the values that belong to its code."""

    code = fields.String(
        required=True,
        validate=validate.OneOf(explanations.CODES),
        metadata={
            "description": "`schedule`: it is not due; `cap`: as many of its organization run as may; `no_worker`: none"
            " lives that serves its queue; `slots`: all of them are busy; `turn`: others come before it; `next`: it is"
            " about to start; `running`; `cancelling`; `ended`."
        },
    )
    message = fields.String(required=True, metadata={"description": "A sentence for people."})
    until = fields.DateTime(metadata={"description": "With `schedule`: when it is due."})
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


class Input(Strict):
    """A declared input."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    required = fields.Boolean(required=True)
    default = fields.Raw(required=True, allow_none=True)
    description = fields.String(required=True)


class Version(Strict):
    """A version of a pipeline."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    id = fields.Integer(required=True)
    version = fields.Integer(required=True)
    version_uuid = fields.UUID(required=True)
    hash = fields.String(required=True)
    draft = fields.Boolean(required=True)
    tags = fields.List(fields.String(), required=True)
    inputs = fields.List(fields.Nested(Input), required=True)
    variables = fields.List(
        fields.String(), required=True, metadata={"description": "Names of the `${VARIABLES}` that it refers to."}
    )
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)
    definition = fields.Dict(required=True)
    warnings = fields.List(
        fields.String(), metadata={"description": "With a publication: what was accepted and is likely a slip."}
    )


class VersionSummary(Strict):
    """A version in the list of a pipeline."""

    version = fields.Integer(required=True)
    version_uuid = fields.UUID(required=True)
    hash = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)


class Pipeline(Strict):
    """A pipeline in a list."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    id = fields.Integer(required=True)
    version = fields.Integer(required=True, allow_none=True)
    hash = fields.String(required=True, allow_none=True)
    tags = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)


class Pipelines(Strict):
    """A page of pipelines, by handle."""

    pipelines = fields.List(fields.Nested(Pipeline), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class PipelineWithVersions(Version):
    """A pipeline: its latest version, and the list of all."""

    versions = fields.List(fields.Nested(VersionSummary), required=True)


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
