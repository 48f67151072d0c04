"""What every type of tool shares: the base of its settings, and the functions that a model is offered of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from shared import json_schema, registry
from shared.kinds import Strict, Varied

#: What a model calls a function by.
NAME = r"^[A-Za-z0-9_-]{1,64}$(?!\n)"
#: A name of its own: what the provider searches the web with is called so.
RESERVED = "web_search"
#: What a function takes that says nothing of it.
ANYTHING: Mapping[str, Any] = {"type": "object", "properties": {}}


class ToolSettings(Strict):
    """What can be set on a tool of any type."""

    type = fields.String(required=True, metadata={"description": "What the tool does."})


class NamedSettings(ToolSettings):
    """What can be set on a tool that the model calls by a name."""

    name = fields.String(
        required=True,
        validate=[validate.Regexp(NAME), validate.NoneOf([RESERVED], error=f"{RESERVED} is a reserved name")],
        metadata={"description": "What the model calls it by; letters, digits, `_` and `-`, 64 at most."},
    )
    description = fields.String(
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=4_000),
        metadata={"description": "What the model is told of it: when to call it, and what comes of it."},
    )


class FunctionSettings(NamedSettings):
    """What can be set on a tool that is one function."""

    fail_fast = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={"description": "A call that fails fails the layer; without it the model is told of the failure."},
    )


class ParamsSchema(fields.Raw):
    """A JSON Schema of an object: what the model gives with a call."""

    #: Its shape for the documentation.
    json_schema: ClassVar[Mapping[str, Any]] = {"type": "object"}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.get("type", "object") != "object":
            raise ValidationError("must be a JSON schema of an object")
        try:
            json_schema.check(value)
        except json_schema.Unfit as error:
            raise ValidationError(str(error)) from error
        return {"type": "object", **value}


class ToolField(Varied):
    """A tool of any type, checked by the settings schema of its type."""

    def fields_of(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings of its type, none where that is unknown."""
        found = types().get(value["type"]) if isinstance(value.get("type"), str) else None
        return found.Settings().fields if found else {}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        if value.get("type") == "script":
            raise ValidationError({"type": ["code is not run here: serve it over HTTP, as a tool of type http or mcp"]})
        found = types().get(value["type"]) if isinstance(value.get("type"), str) else None
        if found is None:
            raise ValidationError({"type": [f"must be one of {', '.join(sorted(types()))}"]})
        settings: dict[str, Any] = found.Settings().load(value)
        return settings


@dataclass(frozen=True, slots=True)
class Function:
    """One function that a model may call: of which tool, and by what name that knows it."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    tool: Mapping[str, Any]
    known_as: str = ""

    def offered(self) -> dict[str, Any]:
        """As OpenAI's wire has it."""
        described = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": {name: each for name, each in described.items() if each is not None}}


@cache
def types() -> dict[str, ModuleType]:
    """Every type of tool by its name."""
    return {module.TYPE: module for module in registry.modules("shared.tools")}


def one(settings: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Function]:
    """The one function of a tool that has a name."""
    return [Function(settings["name"], settings["description"], parameters, settings)]
