"""Picks or reshapes a value with a JMESPath expression (https://jmespath.org)."""

from collections.abc import Mapping
from typing import Any

from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError
from marshmallow import ValidationError, fields, validate

from shared import jmespaths, strict_json
from shared.errors import LayerFailed
from shared.kinds import LayerSettings, References
from shared.outside import Scope, Tools
from shared.plan import Answer

KIND = "extract"


def _compiles(expression: str) -> None:
    try:
        jmespaths.compiled(expression)
    except JMESPathError as error:
        raise ValidationError(f"is no JMESPath expression: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ValidationError("is nested too deep") from error


class Settings(LayerSettings):
    """Settings of an `extract` layer."""

    expression = fields.String(
        required=True,
        validate=[validate.Length(max=10_000), _compiles],
        metadata={"description": "JMESPath, applied to `value`."},
    )
    value = References(
        load_default="{{previous}}",
        metadata={"description": "What to look into: one reference; the previous layer's output by default."},
    )


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Apply the expression; LayerFailed where the value does not fit it, or what it gives is no JSON or too much."""
    try:
        found = jmespaths.search(settings["expression"], scope.value(settings["value"]))
        # `to_number` gives NaN for "nan", and `&a` a function.
        strict_json.dumps(found)
    except (UnknownFunctionError, ArityError) as error:
        raise LayerFailed("config", f"{settings['expression']}: {error}") from error
    except (JMESPathError, TypeError, ValueError) as error:
        raise LayerFailed("value_invalid", f"{settings['expression']}: {error}") from error
    return Answer(found)
