"""Whether a condition holds: a JMESPath expression on the values that references may name."""

from collections.abc import Mapping
from typing import Any

from jmespath.exceptions import JMESPathError

from shared import jmespaths
from shared.errors import LayerFailed


def holds(expression: str, values: Mapping[str, Any]) -> bool:
    """False where it gives false, null, or an empty text, list or object; LayerFailed where it does not fit."""
    try:
        found = jmespaths.search(expression, values)
    except (JMESPathError, TypeError, ValueError) as error:
        raise LayerFailed("value_invalid", f"{expression}: {error}") from error
    return found is not None and found is not False and found not in ("", [], {})
