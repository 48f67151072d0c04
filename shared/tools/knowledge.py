"""Searches a folder of the organization's knowledge; the model gives the question, and reads what was found."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared.kinds import HANDLE, Whole
from shared.outside import Scope, Tools
from shared.toolbox import Function, FunctionSettings, one

TYPE = "knowledge"
_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 1, "description": "What to look for."}},
    "required": ["query"],
    "additionalProperties": False,
}


class Settings(FunctionSettings):
    """Settings of a `knowledge` tool."""

    folder = fields.String(
        required=True, validate=validate.Regexp(HANDLE), metadata={"description": "The handle of the folder."}
    )
    limit = Whole(load_default=5, validate=validate.Range(min=1, max=50), metadata={"description": "Passages at most."})


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """The one that it is."""
    return one(settings, _PARAMETERS)


def call(function: Function, arguments: Mapping[str, Any], scope: Scope, tools: Tools) -> Any:
    """The passages that fit best."""
    return tools.search(function.tool["folder"], arguments["query"], function.tool["limit"])
