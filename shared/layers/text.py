"""Makes text without a model: format, join, split, replace, case."""

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from shared.errors import LayerFailed
from shared.kinds import LayerSettings, References
from shared.outside import Scope, Tools
from shared.plan import Answer
from shared.rendering import MOST_CHARACTERS, as_text

KIND = "text"

CASES: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "capitalize": str.capitalize,
}


class Settings(LayerSettings):
    """Settings of a `text` layer."""

    operation = fields.String(
        load_default="format",
        validate=validate.OneOf(["format", "join", "split", "replace", "case"]),
        metadata={"description": "`format` gives `value` with its references filled; the others work on `value`."},
    )
    value = References(
        load_default="{{previous}}",
        metadata={"description": "What to work on; the previous layer's output by default."},
    )
    separator = fields.String(
        load_default="\n",
        validate=validate.Length(min=1),
        metadata={"description": "Between the items, for `join` and `split`; a line break by default."},
    )
    find = fields.String(validate=validate.Length(min=1), metadata={"description": "For `replace`: the exact text."})
    replacement = References(load_default="", metadata={"description": "For `replace`: what comes instead."})
    case = fields.String(validate=validate.OneOf(list(CASES)), metadata={"description": "For `case`."})

    @validates_schema
    def _has_what_it_needs(self, settings: Mapping[str, Any], **_: Any) -> None:
        needed = {"replace": "find", "case": "case"}.get(settings["operation"])
        if needed and needed not in settings:
            raise ValidationError(f"is required by the operation {settings['operation']}", needed)


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Do the operation; LayerFailed where `join` is given something that is no list."""
    found = scope.value(settings["value"])
    match settings["operation"]:
        case "join":
            return Answer(settings["separator"].join(as_text(item) for item in _listed(found)))
        case "split":
            return Answer([part for part in as_text(found).split(settings["separator"]) if part.strip()])
        case "replace":
            return Answer(_replaced(as_text(found), settings["find"], scope.render(settings["replacement"])))
        case "case":
            return Answer(CASES[settings["case"]](as_text(found)))
        case _:
            return Answer(as_text(found))


def _replaced(text: str, find: str, replacement: str) -> str:
    if len(text) + text.count(find) * len(replacement) > MOST_CHARACTERS:
        raise LayerFailed("value_invalid", f"replace makes a text of more than {MOST_CHARACTERS} characters")
    return text.replace(find, replacement)


def _listed(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise LayerFailed("value_invalid", f"join needs a list, not {type(found).__name__}")
    return found
