"""A JSON value that satisfies a JSON schema, made up from a few words.

Supported: type (also a list), enum, const, properties, additionalProperties, items, prefixItems, minItems, maxItems,
uniqueItems, bounds, lengths, common patterns and formats, anyOf, oneOf, allOf, $ref within the document.
Not: `not`, `if`, `contains`, `patternProperties`, dependencies.
"""

import json
from random import Random
from typing import Any, cast

from deploy.demo_model import scalars
from deploy.demo_model.errors import Refused
from deploy.demo_model.scalars import Schema

_DEFAULT_ITEMS = 3
# From here on only what is required is made, so that schemas that contain themselves come to an end.
_DEEP = 5
_TOO_DEEP = 60
# A hostile schema can ask for more than anyone can read.
_MAX_VALUES = 20_000
_IMPLIED_TYPES = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}


def make(schema: Any, words: list[str], seed: int) -> Any:
    """An instance of the schema, the same for the same words and seed. Raises Refused if the schema makes no sense."""
    try:
        return _Maker(schema, words, Random(seed)).value(schema, "answer", 0)  # noqa: S311  It must be repeatable, not secret.
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"the JSON schema cannot be followed: {error}") from error


class _Maker:
    def __init__(self, root: Any, words: list[str], random: Random) -> None:
        self._root = root
        self._words = words
        self._random = random
        self._made = 0

    def value(self, schema: Any, name: str, depth: int) -> Any:
        self._made += 1
        if depth > _TOO_DEEP or self._made > _MAX_VALUES:
            raise Refused("the JSON schema has no finite or no reasonably small instance")
        if isinstance(schema, bool):
            return self._words[0]
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        return self._typed(_type(schema, depth), schema, name, depth)

    def _typed(self, kind: str, schema: Schema, name: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return scalars.number({**schema, "type": kind}, name, self._random)
            case "boolean":
                return self._random.getrandbits(1) == 1
            case "null":
                return None
        return scalars.string(schema, name, self._words, self._random)

    def _resolved(self, schema: Schema, depth: int) -> Schema:
        """The schema with references followed, allOf merged and one branch of anyOf or oneOf taken."""
        for _ in range(_TOO_DEEP):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _merged(self._referenced(schema["$ref"]), rest)
            elif "allOf" in schema:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    rest = _merged(rest, self._resolved(part, depth))
                schema = rest
            elif "anyOf" in schema or "oneOf" in schema:
                key = "anyOf" if "anyOf" in schema else "oneOf"
                rest = {each: value for each, value in schema.items() if each != key}
                schema = _merged(rest, self._branch(schema[key], depth))
            else:
                return schema
        raise Refused("the JSON schema refers to itself without end")

    def _branch(self, branches: list[Schema], depth: int) -> Schema:
        """The first branch that says something; deep down the simplest one, to come to an end."""
        if depth >= _DEEP:
            return min(
                branches, key=lambda branch: (branch.get("type") != "null", "$ref" in branch, len(json.dumps(branch)))
            )
        return next((branch for branch in branches if branch.get("type") != "null"), branches[0])

    def _referenced(self, reference: str) -> Schema:
        """What a JSON pointer into the same document names (RFC 6901)."""
        if not reference.startswith("#"):
            raise Refused(f"the JSON schema refers to {reference!r}, which is not in it")
        found = self._root
        for part in reference[1:].split("/")[1:]:
            found = found[int(part)] if isinstance(found, list) else found[part.replace("~1", "/").replace("~0", "~")]
        return cast(Schema, found)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        wanted = [name for name in properties if depth < _DEEP or name in required]
        wanted += [name for name in required if name not in wanted]
        extra = schema.get("additionalProperties", True)
        if not wanted and isinstance(extra, dict) and depth < _DEEP:
            wanted = self._words[:2]
        for number in range(len(wanted), min(_MAX_VALUES, int(schema.get("minProperties", 0)))):
            wanted.append(f"{self._words[0]} {number + 1}")
        others = extra if isinstance(extra, dict) else {}
        return {name: self.value(properties.get(name, others), name, depth + 1) for name in wanted}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        lowest, highest = int(schema.get("minItems", 0)), schema.get("maxItems")
        amount = max(lowest, _DEFAULT_ITEMS if depth < _DEEP else 0)
        amount = amount if highest is None else min(amount, int(highest))
        first: list[Schema] = schema.get("prefixItems", [])
        others = schema.get("items", {})
        amount = max(lowest, len(first)) if others is False else amount
        made: list[Any] = []
        # Items are drawn until they differ, as a list of topics has each once; an enum may simply have no more of them.
        for left in range(amount * 8, 0, -1):
            if len(made) == amount:
                break
            item = self.value(first[len(made)] if len(made) < len(first) else others, _singular(name), depth + 1)
            if item not in made or (left <= amount and not schema.get("uniqueItems")):
                made.append(item)
        return made


def _type(schema: Schema, depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        if depth >= _DEEP and "null" in kind:
            return "null"
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        return next((implied for keyword, implied in _IMPLIED_TYPES.items() if keyword in schema), "string")
    return str(kind)


def _merged(one: Schema, other: Schema) -> Schema:
    """Both schemas' demands; where they speak of the same thing, the other's."""
    merged = {**one, **other}
    for key in one.keys() & other.keys():
        if key == "properties":
            merged[key] = {**one[key], **other[key]}
        elif key == "required":
            merged[key] = [*dict.fromkeys([*one[key], *other[key]])]
    return merged


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name
