"""What is asked to run: an order, a replay, a repair."""

from datetime import datetime

from marshmallow import ValidationError, fields, validate

from api.schemas.costs import Dollars
from api.schemas.pages import SHORT
from shared.kinds import CHANNEL, Strict, Whole
from shared.order import QUEUES

MOST_TOKENS = validate.Range(min=1, max=1 << 53)
ABOVE_ZERO = {"exclusiveMinimum": 0}


def within_reach(moment: datetime) -> None:
    """Refuse a time that could not be stored, or read again."""
    # Python knows no years beyond 1 to 9999, and what is stored near them cannot be read again in every time zone.
    if not 1970 <= moment.year < 2200:
        raise ValidationError("must be between 1970 and 2200")


def env_vars(description: str) -> fields.Dict:
    """Values of variables, which no answer shows."""
    return fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        load_only=True,
        metadata={"description": description, "writeOnly": True},
    )


class Order(Strict):
    """Body of a new execution."""

    inputs = fields.Dict(keys=fields.String(), load_default=dict, metadata={"description": "Values by input name."})
    tags = fields.Dict(
        keys=fields.String(validate=SHORT),
        values=fields.String(validate=validate.Length(max=2000)),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata={"description": "Free pairs, to find executions by."},
    )
    metadata = fields.Dict(
        keys=fields.String(validate=SHORT),
        load_default=dict,
        validate=validate.Length(max=100),
        metadata={"description": "Any JSON values, kept with the execution."},
    )
    end_user = fields.String(validate=SHORT, metadata={"description": "Your user, to find executions by."})
    priority = fields.String(
        load_default="normal",
        validate=validate.OneOf(QUEUES),
        metadata={"description": "The queue; none of them starves another."},
    )
    deadline_seconds = Whole(
        validate=validate.Range(min=1, max=604_800),
        metadata={"description": "The execution is failed if it has not ended by then; the pipeline's by default."},
    )
    max_cost_usd = Dollars(
        metadata={
            "description": "No call is sent that might make the execution cost more than this. 422 where a model that"
            " it may ask has no price.",
            **ABOVE_ZERO,
        }
    )
    max_tokens = Whole(
        validate=MOST_TOKENS,
        metadata={
            "description": "No call is sent that might make the tokens of the execution, prompts included, more than"
            " this."
        },
    )
    thread = fields.UUID(
        metadata={"description": "The conversation that it is part of; one that is not there yet begins with it."}
    )
    channel = fields.String(
        validate=validate.Regexp(CHANNEL, error="must be 1 to 64 letters, digits, `.`, `_` or `-`"),
        metadata={"description": "The lane of the thread; `default` by default. Of no effect without a thread."},
    )
    environment = fields.String(
        validate=SHORT,
        metadata={"description": "Where its variables come from, and whose webhooks are told; `default` by default."},
    )
    env_vars = env_vars(
        "Values of variables by name, for this execution alone, before those of its environment: at most 50, and 64 KB"
        " together. Kept sealed, and deleted with the execution's content."
    )
    not_before = fields.AwareDateTime(
        format="iso",
        validate=within_reach,
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
    max_cost_usd = Dollars(metadata={"description": "As for a new execution; as it was by default.", **ABOVE_ZERO})
    max_tokens = Whole(validate=MOST_TOKENS, metadata={"description": "As for a new execution; as it was by default."})
    env_vars = env_vars("As for a new execution; those given with the first one stand where they are not given again.")


class Repair(Replay):
    """Body of a repair; nothing has to be in it."""

    again = fields.List(
        fields.String(validate=SHORT),
        data_key="from",
        load_default=list,
        validate=validate.Length(max=1000),
        metadata={
            "description": "Layers (`reviews/rank`) or properties that run again although they passed, with all that"
            " depends on them."
        },
    )
