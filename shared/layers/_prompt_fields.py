"""The fields of a `prompt` layer that have a form of their own."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from shared import json_schema
from shared.kinds import Number, References, Strict, Whole


class Message(Strict):
    """One message of a conversation."""

    role = fields.String(required=True, validate=validate.OneOf(["system", "user", "assistant"]))
    content = References(required=True)


class Retry(Strict):
    """How often a model is asked before the layer fails."""

    attempts = Whole(load_default=4, validate=validate.Range(min=1, max=10))


class Cache(Strict):
    """How long a good answer stands for the same question asked again."""

    seconds = Number(required=True, validate=validate.Range(min=1, max=31_536_000))


class Output(fields.Field[dict[str, Any]]):
    """`text`, `list`, `json`, or `{type: json_schema, schema: …}`."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "default": "text",
        "oneOf": [
            {"type": "string", "enum": ["text", "list", "json"]},
            {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["text", "list", "json", "json_schema"]},
                    "schema": {"type": "object", "description": "A JSON Schema, for the type `json_schema`."},
                    "name": {"type": "string", "description": "What the provider is told the schema is called."},
                },
                "required": ["type"],
                "additionalProperties": False,
            },
        ],
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        output = {"type": value} if isinstance(value, str) else value
        if not isinstance(output, dict) or output.get("type") not in ("text", "list", "json", "json_schema"):
            raise ValidationError("must be text, list, json, or an object with one of these or json_schema as type")
        if strangers := sorted(set(output) - {"type", "schema", "name"}):
            raise ValidationError({each: ["Unknown field."] for each in strangers})
        if output["type"] == "json_schema":
            _check_schema(output.get("schema"))
        elif "schema" in output:
            raise ValidationError({"schema": [f"does not go with the type {output['type']}"]})
        if not _is_schema_name(output.get("name", "answer")):
            raise ValidationError({"name": ["must be 1 to 64 letters, digits, `_` or `-`"]})
        return output


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise ValidationError({"schema": ["must be a JSON schema, an object"]})
    try:
        json_schema.check(schema)
    except json_schema.Unfit as error:
        raise ValidationError({"schema": [str(error)]}) from error


def _is_schema_name(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is not None
