"""What an execution would do, told before it starts."""

from marshmallow import fields, validate

from api.schemas.executions import Reference
from api.schemas.problems import Fault
from shared.kinds import Strict

_RUNS = validate.OneOf(["yes", "maybe", "no"])
_RUNS_TEXT = {"description": "`maybe`: it hangs on what is not known yet; it counts as if it ran."}
_NOTHING = "null where nothing bounds it"


class Start(Strict):
    """Query of a new execution."""

    dry_run = fields.Boolean(
        load_default=False,
        metadata={"description": "Write nothing, ask nobody, and tell what it would do: 200 and a `Rehearsal`."},
    )


class Bound(Strict):
    """An upper bound."""

    calls = fields.Integer(required=True, allow_none=True)
    prompt_tokens = fields.Integer(required=True, allow_none=True)
    completion_tokens = fields.Integer(required=True, allow_none=True)
    tokens = fields.Integer(required=True, allow_none=True, metadata={"description": f"Of both; {_NOTHING}."})
    cost = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": f"US dollars; {_NOTHING}, or a model has no price."},
    )


class Message(Strict):
    """One message that a model would be sent."""

    role = fields.String(required=True)
    content = fields.String(
        required=True, metadata={"description": "References to what is not there yet stay as they are."}
    )


class Question(Strict):
    """What a model would be asked."""

    models = fields.List(
        fields.String(), required=True, metadata={"description": "`provider/model`; the first, then the fallbacks."}
    )
    messages = fields.List(fields.Nested(Message), required=True)
    max_tokens = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Longest answer; null leaves it to the provider."}
    )
    attempts = fields.Integer(required=True, metadata={"description": "Calls of each model at most."})


class RehearsedLayer(Strict):
    """A layer as it would run."""

    path = fields.String(required=True)
    kind = fields.String(required=True)
    runs = fields.String(required=True, validate=_RUNS, metadata=_RUNS_TEXT)
    times = fields.Integer(
        required=True, metadata={"description": "Inside of a `map` or `loop`: for how many items or rounds at most."}
    )
    timeout_seconds = fields.Float(required=True)
    question = fields.Nested(Question, required=True, allow_none=True)
    output = fields.Raw(
        required=True, allow_none=True, metadata={"description": "What it gives, where that is known already."}
    )
    output_known = fields.Boolean(required=True)
    bound = fields.Nested(Bound, required=True, metadata={"description": "Of one time; every answer is good at once."})
    with_retries = fields.Nested(
        Bound, required=True, metadata={"description": "Every attempt of every model is used up."}
    )
    warnings = fields.List(fields.String(), required=True)
    layers = fields.List(
        fields.Nested(lambda: RehearsedLayer()), required=True, metadata={"description": "Those inside of it."}
    )


class RehearsedProperty(Strict):
    """A property as it would run."""

    name = fields.String(required=True)
    needs = fields.List(fields.String(), required=True)
    runs = fields.String(required=True, validate=_RUNS, metadata=_RUNS_TEXT)
    layers = fields.List(fields.Nested(RehearsedLayer), required=True)


class Rehearsal(Strict):
    """What an execution would do; nothing of it is written, and nobody was asked."""

    clean = fields.Boolean(
        required=True,
        metadata={"description": "No faults: it would be accepted, and would never fail with the reason `config`."},
    )
    faults = fields.List(fields.Nested(Fault), required=True)
    warnings = fields.List(
        fields.String(), required=True, metadata={"description": "What is known to fail with these inputs."}
    )
    pipeline = fields.Nested(Reference, required=True)
    pipelines = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(Reference),
        required=True,
        metadata={"description": "What it runs inside of it, by `handle@version` as written."},
    )
    inputs = fields.Dict(required=True, metadata={"description": "With defaults, as the layers would see them."})
    deadline_seconds = fields.Integer(required=True)
    properties = fields.List(
        fields.Nested(RehearsedProperty), required=True, metadata={"description": "In an order that they can run in."}
    )
    bound = fields.Nested(Bound, required=True, metadata={"description": "Every answer is good at once."})
    with_retries = fields.Nested(
        Bound,
        required=True,
        metadata={"description": "Every attempt of every model is used up; what a dead worker repeats comes on top."},
    )
    unbounded = fields.List(
        fields.String(), required=True, metadata={"description": "Paths of the layers that nothing bounds."}
    )
    too_large = fields.Boolean(
        required=True, metadata={"description": "True where there is too much to go through: then nothing is bounded."}
    )
