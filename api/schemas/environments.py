"""Environments and their variables."""

from marshmallow import fields

from shared.kinds import Strict


class SetVariable(Strict):
    """Body that sets a variable; no answer ever shows its value."""

    value = fields.String(
        required=True,
        load_only=True,
        metadata={
            "description": "Any text. One of eight characters and more is taken out of everything that an execution"
            " tells.",
            "writeOnly": True,
        },
    )


class Variable(Strict):
    """What is told of a variable."""

    name = fields.String(required=True)
    set_at = fields.DateTime(required=True)
    warning = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "That it is too short to be redacted, or cannot be opened any more; else null."},
    )


class EnvironmentSummary(Strict):
    """An environment in a list."""

    name = fields.String(required=True)
    variables = fields.Integer(required=True, metadata={"description": "How many it has."})
    created_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Null for a `default` in which nothing was ever set."}
    )


class Environments(Strict):
    """A page of environments, by name."""

    environments = fields.List(fields.Nested(EnvironmentSummary), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Environment(Strict):
    """An environment with its variables, by name."""

    name = fields.String(required=True)
    variables = fields.List(fields.Nested(Variable), required=True)
