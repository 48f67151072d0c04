"""Structured answers: what to ask a model for, and how to read what it says."""

import re
from collections.abc import Mapping
from typing import Any

from shared import json_schema, strict_json

LIST_SCHEMA = {"type": "array", "items": {"type": "string"}}
_FENCE = "```"
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


class Unreadable(ValueError):
    """The answer is not what was asked for; the message says where."""


def response_format(output: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to send as OpenAI's `response_format` for an output of type text, list, json or json_schema.

    A schema whose root is no object is wrapped in one, under `value`: providers refuse any other root.
    """
    if output["type"] == "text":
        return None
    if output["type"] == "json":
        return {"type": "json_object"}
    schema = schema_of(output)
    sent = schema if _is_object(schema) else _wrapped(schema)
    described = {"name": output.get("name", "answer"), "schema": sent, "strict": _can_be_strict(sent)}
    return {"type": "json_schema", "json_schema": described}


def schema_of(output: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that the value must fit."""
    return LIST_SCHEMA if output["type"] == "list" else dict(output["schema"])


def read(output: Mapping[str, Any], text: str) -> Any:
    """Return the value in a model's answer; Unreadable where it is not of the type asked for."""
    if output["type"] == "text":
        return text
    try:
        found = strict_json.loads(_unfenced(text))
    except ValueError as error:
        if output["type"] == "list":
            return _lines(text)
        raise Unreadable(f"the answer is not JSON: {error}") from error
    if output["type"] == "json":
        return found
    return _checked(schema_of(output), found)


def _checked(schema: dict[str, Any], found: Any) -> Any:
    if not _is_object(schema) and isinstance(found, dict) and set(found) == {"value"}:
        found = found["value"]
    try:
        json_schema.validate(schema, found)
    except json_schema.Unfit as error:
        raise Unreadable(f"the answer {error}") from error
    return found


def _lines(text: str) -> list[str]:
    return [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]


def _unfenced(text: str) -> str:
    stripped = text.strip()
    first, line_break, rest = stripped.partition("\n")
    if not (first.startswith(_FENCE) and line_break and rest.endswith(_FENCE)):
        return text
    return rest.removesuffix(_FENCE)


def _is_object(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object"


def _wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    inner = {key: found for key, found in schema.items() if key not in ("$defs", "definitions", "$schema", "$id")}
    outer = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    return {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
        **outer,
    }


def _can_be_strict(schema: Any) -> bool:
    """OpenAI's strict mode wants every object closed and every property required, all the way down."""
    if isinstance(schema, list):
        return all(_can_be_strict(each) for each in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(schema.get("properties", {}))
    ):
        return False
    return all(_can_be_strict(each) for each in schema.values())
