"""Request and schema → values and faults. What cannot be read at all is Malformed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flask import g, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from api import context
from shared import faults, strict_json, strict_yaml
from shared.errors import Fault, Invalid, Malformed, TooLarge, UnsupportedMediaType

JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What of a body fits its schema, and what is wrong with the rest."""

    values: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)

    def checked(self) -> Mapping[str, Any]:
        """The values; Invalid where there is any fault."""
        if self.faults:
            raise Invalid(self.faults)
        return self.values


def body(schema: Schema, *, optional: bool = False) -> Parsed:
    """Read a JSON body by a schema; where it is optional, none is as good as an empty object."""
    absent = optional and not request.content_length and "Transfer-Encoding" not in request.headers
    return load(schema, {} if absent else document())


def load(schema: Schema, found: Any) -> Parsed:
    """Read a value by a schema."""
    wrong = storable(found)
    try:
        return Parsed(schema.load(found), wrong)
    except ValidationError as error:
        valid = error.valid_data if isinstance(error.valid_data, dict) else {}
        return Parsed(valid, [*wrong, *faults.flatten(error.normalized_messages())])


def query(schema: Schema) -> Mapping[str, Any]:
    """Read the query string by a schema; a parameter given often is a list where the schema has one."""
    if not request.query_string:
        return _without_parameters(schema).checked()
    arguments = request.args.to_dict(flat=False)
    many = {name for name, each in schema.fields.items() if hasattr(each, "inner")}
    found = {name: values if name in many else values[-1] for name, values in arguments.items()}
    twice = [
        Fault(name, "is given twice", "duplicate")
        for name, values in arguments.items()
        if name not in many and len(values) > 1
    ]
    parsed = load(schema, found)
    return Parsed(parsed.values, [*twice, *parsed.faults]).checked()


@cache
def _without_parameters(schema: Schema) -> Parsed:
    return load(schema, {})


def storable(found: Any) -> list[Fault]:
    """One fault for each text that Postgres could not store."""
    message = "must not hold NUL characters or lone surrogates"
    return [Fault(place or "body", message) for place in strict_json.unstorable(found)]


def document(*, types: tuple[str, ...] = JSON) -> Any:
    """The body as a JSON value, of JSON or, where the caller of this allows it, of YAML; Malformed if it is none."""
    written = content_type(types)
    try:
        text = _bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed([Fault("body", "is not UTF-8")]) from error
    try:
        g.document = _yaml(text) if written in YAML else strict_json.loads(text, max_depth=_depth())
    except (ValueError, RecursionError) as error:
        raise Malformed([Fault("body", f"is not {'YAML' if written in YAML else 'JSON'}: {error}")]) from error
    return g.document


def content_type(types: tuple[str, ...]) -> str:
    """The content type of the body; UnsupportedMediaType where it is none of these, or packed."""
    if request.mimetype not in types:
        raise UnsupportedMediaType(f"Content-Type must be {' or '.join(types[:2])}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding must be identity")
    return request.mimetype


def _bytes() -> bytes:
    limit = context.this().settings.max_body_bytes
    try:
        found = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(limit) from error
    # A body in chunks tells no length, and is cut at the limit without a word.
    if len(found) == limit and request.environ["wsgi.input"].read(1):
        raise TooLarge(limit)
    return found


def _depth() -> int:
    return context.this().settings.max_json_depth


def _yaml(text: str) -> Any:
    return strict_yaml.loads(text, max_depth=_depth())
