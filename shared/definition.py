"""The schema of a definition: turns what a team writes into a plan, or names every fault with its place."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from shared import faults, graph, inputs, kinds, rendering
from shared.errors import Fault, Invalid
from shared.kinds import Strict, Whole
from shared.plan import MEMORY_MODES, Input, Layer, Memory, Plan, Property

DAY_SECONDS = 24 * 3600
_NAME = validate.Regexp(kinds.NAME, error="must be a letter or _, then letters, digits, - or _")


class InputSchema(Strict):
    """A declared input."""

    name = fields.String(required=True, validate=_NAME)
    type = fields.String(
        load_default="string",
        validate=validate.OneOf(list(inputs.TYPES)),
        metadata={"description": "The JSON type of its values."},
    )
    required = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "An execution without it is refused; a default takes this back."},
    )
    default = fields.Raw(allow_none=True, metadata={"description": "Its value where none is given; else null."})
    description = fields.String(load_default="")


class OnError(fields.Field[dict[str, Any]]):
    """`fail`, `null`, `omit`, or `{default: …}`."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "default": "fail",
        "oneOf": [
            {"type": ["string", "null"], "enum": ["fail", "null", "omit", None]},
            {
                "type": "object",
                "properties": {"default": {"description": "Its value where it fails."}},
                "required": ["default"],
                "additionalProperties": False,
            },
        ],
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if value in ("fail", "omit"):
            return {"on_error": value}
        if value == "null":
            return {"on_error": "default"}
        if isinstance(value, dict) and set(value) == {"default"}:
            return {"on_error": "default", "default": value["default"]}
        raise ValidationError("must be fail, null, omit, or an object with `default` alone")


class PropertySchema(Strict):
    """A property: its layers run in order, and the last one's output is its value."""

    name = fields.String(required=True, validate=_NAME)
    when = kinds.Condition(
        metadata={
            "description": "JMESPath on inputs and properties. Where it does not hold (false, null, empty) the property"
            " is skipped, and so is what depends on it."
        },
    )
    on_error = OnError(
        allow_none=True,
        load_default=lambda: {"on_error": "fail"},
        metadata={
            "description": "What becomes of the execution where it fails: it fails too; or goes on with null or another"
            " value in its place; or without it, as if it had been skipped."
        },
    )
    layers = kinds.Layers(
        metadata={"description": "They run in this order; the output of the last one is the property's value."},
    )


class DefinitionSchema(Strict):
    """A pipeline's definition."""

    handle = fields.String(
        validate=validate.Regexp(kinds.HANDLE),
        metadata={"description": "The pipeline's name in URLs; that of the path."},
    )
    name = fields.String(load_default="", validate=validate.Length(max=200))
    description = fields.String(load_default="", validate=validate.Length(max=10_000))
    inputs = fields.List(fields.Nested(InputSchema), load_default=list, validate=validate.Length(max=200))
    properties = fields.List(fields.Nested(PropertySchema), required=True, validate=validate.Length(min=1, max=500))
    output = fields.String(
        allow_none=True,
        load_default=None,
        metadata={"description": "The property whose value is the output; without it, an object of all of them."},
    )
    deadline_seconds = Whole(
        load_default=DAY_SECONDS,
        validate=validate.Range(min=1, max=7 * DAY_SECONDS),
        metadata={"description": "An execution that has not ended so long after it was due to start is failed."},
    )
    memory = fields.String(
        load_default="stateless",
        validate=validate.OneOf(MEMORY_MODES),
        metadata={"description": "What its prompts have to do with the thread of an execution: nothing, by default."},
    )
    history_tokens = Whole(
        load_default=8000,
        validate=validate.Range(min=1, max=10_000_000),
        metadata={"description": "About how many tokens of the thread a prompt that reads it is given, newest first."},
    )


@dataclass(frozen=True, slots=True)
class Definition:
    """A good definition: as it was written (without its handle), its plan, and what to warn about."""

    source: Mapping[str, Any]
    plan: Plan
    warnings: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form, in hex: the same definition has the same hash."""
        canonical = json.dumps(self.source, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


def read(source: Any, *, ids: Mapping[str, int] | None = None) -> Definition:
    """Check a definition and make its plan; `ids` are the node ids given at publishing, by path.

    Invalid names every fault with its place, like `properties[1].layers[0].prompt`.
    """
    loaded, found = _load(source)
    sketch = graph.sketch(source)
    found += [*graph.faults(sketch), *_default_faults(source)]
    if found:
        raise Invalid(found)
    return Definition(
        source={key: value for key, value in source.items() if key != "handle"},
        plan=_plan(loaded, sketch, ids or {}),
        warnings=tuple(_warnings(loaded, sketch)),
    )


def is_handle(text: str) -> bool:
    """True for what can be a pipeline's handle."""
    return re.fullmatch(kinds.HANDLE, text) is not None


def paths(plan: Plan) -> list[str]:
    """Every node that gets an id: properties and layers, those inside of others too, in order."""
    return [path for each in plan.properties for path in (each.name, *_paths(each.layers))]


def _paths(layers: Iterable[Layer]) -> Iterator[str]:
    for layer in layers:
        yield layer.path
        yield from _paths(layer.layers)


def _load(source: Any) -> tuple[dict[str, Any], list[Fault]]:
    try:
        return dict(DefinitionSchema().load(source)), []
    except ValidationError as error:
        return {}, faults.flatten(error.normalized_messages())


def _plan(loaded: Mapping[str, Any], sketch: graph.Sketch, ids: Mapping[str, int]) -> Plan:
    names = {each["name"] for each in loaded["properties"]}
    every = [layer for _, layer in graph.layers(sketch)]
    memory = Memory(loaded["memory"], loaded["history_tokens"])
    texts = [text for layer in every for _, text in kinds.texts(layer)]
    properties = (
        Property(
            name=each["name"],
            layers=tuple(_layers(each["name"], each["layers"], ids, memory)),
            needs=frozenset(graph.needs(node) & names),
            id=ids.get(each["name"], 0),
            optional=frozenset(graph.optional(node) & names),
            when=each.get("when"),
            # Null is a value of its own here, which marshmallow hands on as it is.
            **(each["on_error"] or {"on_error": "default"}),
        )
        for each, node in zip(loaded["properties"], sketch.properties, strict=True)
    )
    return Plan(
        inputs=tuple(_input(each) for each in loaded["inputs"]),
        properties=tuple(properties),
        output=loaded["output"],
        deadline_seconds=loaded["deadline_seconds"],
        variables=tuple(sorted({name for text in texts for name in rendering.references(text).variables})),
        memory=memory,
        pipelines=tuple(dict.fromkeys(each.reference for layer in every for each in kinds.embedded(layer))),
    )


def _layers(prefix: str, found: Iterable[Mapping[str, Any]], ids: Mapping[str, int], memory: Memory) -> Iterator[Layer]:
    for index, settings in enumerate(found):
        path = f"{prefix}/{settings.get('name', index)}"
        yield Layer(
            path=path,
            name=settings.get("name"),
            kind=settings["kind"],
            settings=settings,
            timeout_seconds=settings["timeout_seconds"],
            id=ids.get(path, 0),
            reads=frozenset(read.name for read in graph.reads(dict(settings)) if not read.optional),
            when=settings.get("when"),
            layers=tuple(_layers(path, settings.get("layers", ()), ids, memory)),
            memory=memory,
        )


def _input(settings: Mapping[str, Any]) -> Input:
    default = settings.get("default")
    return Input(**{**settings, "default": None if default is None else inputs.convert(settings["type"], default)})


def _default_faults(source: Any) -> Iterator[Fault]:
    """Defaults of another type than their input's, in the inputs that are well formed so far."""
    listed = source.get("inputs") if isinstance(source, dict) else None
    for index, each in enumerate(listed if isinstance(listed, list) else ()):
        type_name = each.get("type", "string") if isinstance(each, dict) else None
        if isinstance(type_name, str) and type_name in inputs.TYPES and each.get("default") is not None:
            try:
                inputs.convert(type_name, each["default"])
            except ValueError as error:
                yield Fault(f"inputs[{index}].default", str(error))


def _warnings(loaded: Mapping[str, Any], sketch: graph.Sketch) -> Iterator[str]:
    for index, each in enumerate(loaded["inputs"]):
        if each["required"] and each.get("default") is not None:
            yield f"inputs[{index}]: required has no effect beside a default"
    for place, layer in graph.layers(sketch):
        for field, text in kinds.texts(layer):
            for stray in rendering.strays(text):
                yield f"{place}.{field}: {stray} is no reference and stays as it is"
