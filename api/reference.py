"""The OpenAPI document as people read it: sections, operations and tables, ready for the page's template."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from api.uploads import FORM

#: What a schema may say of a value besides its type, and how that is put.
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a table: a parameter, or a field of an object."""

    name: str
    type: Markup
    required: bool
    text: Markup
    #: `path`, `query` or `header` for a parameter.
    place: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """A value: its type, and its fields where it is an object that is not told elsewhere."""

    name: str
    type: Markup
    text: Markup
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What may be answered with a status."""

    status: str
    text: Markup
    content_type: str
    type: Markup | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    id: str
    method: str
    path: str
    summary: Markup
    text: Markup
    scope: str
    parameters: tuple[Field, ...]
    body: Shape | None
    body_types: tuple[str, ...]
    curl: str
    answers: tuple[Answer, ...]
    failures: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one tag."""

    name: str
    text: Markup
    operations: tuple[Operation, ...]


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Every operation, by its tag, in the order of the tags."""
    found = [
        _operation(path, method, each, document)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
    return [
        Section(tag["name"], prose(tag["description"]), tuple(each for name, each in found if name == tag["name"]))
        for tag in document["tags"]
    ]


def shapes(document: Mapping[str, Any]) -> list[Shape]:
    """Every named schema, by its name."""
    return [shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]


def shape(name: str, schema: Mapping[str, Any]) -> Shape:
    """A schema as a table."""
    required = schema.get("required", ())
    rows = (
        Field(each, _type(inner), each in required, _notes(inner))
        for each, inner in schema.get("properties", {}).items()
    )
    return Shape(name, _type(schema), prose(schema.get("description", "")), tuple(rows))


def prose(text: str) -> Markup:
    """A text of ours with its `code` marked up, and everything in it escaped."""
    parts = text.split("`")
    marked = (Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts))
    return Markup("").join(marked)


def _operation(path: str, method: str, found: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str, Operation]:
    content: Mapping[str, Any] = found.get("requestBody", {}).get("content", {})
    body = next((each["schema"] for each in content.values()), None)
    operation = Operation(
        id=found["operationId"],
        method=method.upper(),
        path=path,
        summary=prose(found["summary"]),
        text=prose(found.get("description", "")),
        scope=next((each["bearer"][0] for each in found["security"] if "bearer" in each), ""),
        parameters=tuple(_parameter(each) for each in found["parameters"]),
        body=_resolved(body, document) if body else None,
        body_types=tuple(content),
        curl=curl(path, method.upper(), found),
        answers=tuple(_answer(status, each) for status, each in found["responses"].items() if status < "400"),
        failures=tuple(_answer(status, each) for status, each in found["responses"].items() if status >= "400"),
    )
    return found["tags"][0], operation


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Shape:
    name = schema["$ref"].rpartition("/")[2]
    return shape(name, document["components"]["schemas"][name])


def _parameter(found: Mapping[str, Any]) -> Field:
    text = _notes({**found["schema"], "description": found.get("description", "")})
    return Field(found["name"], _type(found["schema"]), found["required"], text, found["in"])


def _answer(status: str, found: Mapping[str, Any]) -> Answer:
    content_type, content = next(iter(found.get("content", {}).items()), ("", None))
    return Answer(status, prose(found["description"]), content_type, _type(content["schema"]) if content else None)


def curl(path: str, method: str, found: Mapping[str, Any]) -> str:
    """A command that does the operation, for a shell with `STRATA_URL` and `STRATA_KEY` set."""
    query = []
    for each in found["parameters"]:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(each["example"]))
        elif each["in"] == "query" and each["required"]:
            query.append(f"{each['name']}={each['schema']['example']}")
    url = path + ("?" + "&".join(query) if query else "")
    lines = [f'curl "$STRATA_URL{url}"' if method == "GET" else f'curl -X {method} "$STRATA_URL{url}"']
    if found["security"]:
        lines.append('-H "Authorization: Bearer $STRATA_KEY"')
    bodies: Mapping[str, Any] = found.get("requestBody", {}).get("content", {})
    for content_type, content in list(bodies.items())[:1]:
        if content_type == FORM:
            lines += [f"-F {shlex.quote(f'{name}={value}')}" for name, value in content["example"].items()]
            continue
        lines.append(f"-H {shlex.quote(f'Content-Type: {content_type}')}")
        # A line is a document of its own there.
        indent = None if "ndjson" in content_type else 2
        lines.append(f"--data {shlex.quote(json.dumps(content['example'], indent=indent, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _type(schema: Mapping[str, Any]) -> Markup:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return Markup(" or ").join(_type(each) for each in schema[choice])
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return Markup(" | ").join(_value(each) for each in schema["enum"])
    names = schema.get("type", "any JSON")
    return Markup(" or ").join(_simple(each, schema) for each in ([names] if isinstance(names, str) else names))


def _simple(name: str, schema: Mapping[str, Any]) -> Markup:
    if name == "array":
        return Markup("list of {}").format(_type(schema.get("items", {})))
    if name == "object" and schema.get("additionalProperties"):
        return Markup("object of {}").format(_type(schema["additionalProperties"]))
    return escape(schema.get("format", name) if name == "string" else name)


def _value(found: Any) -> Markup:
    return Markup("<code>{}</code>").format(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))


def _notes(schema: Mapping[str, Any]) -> Markup:
    """The description of a field, then what else its schema says of it."""
    said = prose(schema.get("description", ""))
    notes = list(_limits(schema))
    if not notes:
        return said
    return Markup("{} <small>{}</small>").format(said, Markup(" · ").join(notes))


def _limits(schema: Mapping[str, Any]) -> Iterator[Markup]:
    if schema.get("default") not in (None, ""):
        yield Markup("default {}").format(_value(schema["default"]))
    for key, text in _LIMITS.items():
        if key in ("minLength", "minItems") and schema.get(key) == 1:
            yield escape("not empty")
        elif key in schema:
            limit = schema[key]
            yield escape(text.format(f"{limit:,g}" if isinstance(limit, float) else f"{limit:,}"))
    if "pattern" in schema:
        yield Markup("matches {}").format(_value(schema["pattern"]))
