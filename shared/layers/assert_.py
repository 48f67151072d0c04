"""Looks whether a condition holds; where it does not, the layer fails, or warns."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared import conditions
from shared.errors import LayerFailed
from shared.kinds import Condition, LayerSettings, References
from shared.outside import Scope, Tools
from shared.plan import Answer

KIND = "assert"


class Settings(LayerSettings):
    """Settings of an `assert` layer."""

    condition = Condition(
        required=True,
        metadata={"description": "JMESPath on the names in scope; false, null and whatever is empty do not hold."},
    )
    message = References(
        load_default="the condition does not hold",
        metadata={"description": "What the report says where it does not hold."},
    )
    on_failure = fields.String(
        load_default="fail",
        validate=validate.OneOf(["fail", "warn"]),
        metadata={"description": "`fail`: the layer fails; `warn`: it passes, and the report has the message."},
    )
    value = References(
        load_default="{{previous}}",
        metadata={"description": "The layer's output; that of the layer before by default."},
    )


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Hand the value through; LayerFailed with `condition_failed` where it shall not come further."""
    value = scope.value(settings["value"])
    if conditions.holds(settings["condition"], scope.values):
        return Answer(value)
    message = scope.render(settings["message"])
    if settings["on_failure"] == "fail":
        raise LayerFailed("condition_failed", message)
    return Answer(value, details={"warning": message})
