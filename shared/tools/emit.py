"""Hands something over to whoever reads the report: what the model gives is the result, and nothing else happens."""

from collections.abc import Mapping
from typing import Any

from shared import strict_json
from shared.errors import LayerFailed
from shared.outside import Scope, Tools
from shared.toolbox import Function, FunctionSettings, ParamsSchema, one

TYPE = "emit"
#: What is given with a call is told in the report, in the order of the calls.
EMITS = True
MOST_BYTES = 1 << 16


class Settings(FunctionSettings):
    """Settings of an `emit` tool."""

    params_schema = ParamsSchema(required=True, metadata={"description": "What is handed over."})


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """The one that it is."""
    return one(settings, settings["params_schema"])


def call(function: Function, arguments: Mapping[str, Any], scope: Scope, tools: Tools) -> str:
    """A word for the model; LayerFailed where it has given too much."""
    if len(strict_json.dumps(dict(arguments)).encode(errors="replace")) > MOST_BYTES:
        raise LayerFailed("value_invalid", f"what is handed over must come to {MOST_BYTES} bytes at most")
    return "handed over"
