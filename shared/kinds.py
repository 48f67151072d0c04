"""What every layer kind shares: the base of its settings, its fields, and what these refer to."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from jmespath.exceptions import JMESPathError
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from shared import jmespaths, registry, rendering
from shared.plan import PREVIOUS, Reference

#: What names a property, a layer or an input; `$` alone would let a line break at the end pass.
NAME = f"^{rendering.NAME}$(?!\n)"
#: What names a pipeline.
HANDLE = r"^[a-z][a-z0-9-]{0,62}$(?!\n)"
#: What names a channel of a thread.
CHANNEL = r"^[A-Za-z0-9_.-]{1,64}$(?!\n)"
DEFAULT_TIMEOUT_SECONDS = 60.0
MAX_TIMEOUT_SECONDS = 3600.0
#: Of a layer that has others inside of it: as long as an execution may take.
MAX_COMPOSITE_SECONDS = 7 * 24 * 3600.0
#: The longest condition, in characters.
MOST_OF_CONDITION = 10_000


class Strict(Schema):
    """A schema that refuses what it does not know."""

    class Meta:
        """marshmallow's own options."""

        unknown = RAISE


class References(fields.String):
    """A text that may hold `{{references}}` and `${VARIABLES}`."""


class Template(fields.Raw):
    """Any JSON whose texts may hold references; a text that is one reference alone stands for its value."""


class Alternatives(fields.List[str]):
    """References of which those are used that stand for something; the others may have been skipped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(References(), **options)


class Condition(fields.String):
    """A JMESPath expression on the names that references may use.

    It does not hold where it gives false, null, or an empty text, list or object.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        expression = super()._deserialize(value, attr, data, **kwargs)
        if len(expression) > MOST_OF_CONDITION:
            raise ValidationError(f"Longer than maximum length {MOST_OF_CONDITION}.")
        try:
            jmespaths.names(expression)
        except JMESPathError as error:
            raise ValidationError(f"is no JMESPath expression: {str(error).splitlines()[0]}") from error
        except ValueError as error:
            raise ValidationError(str(error)) from error
        except RecursionError as error:
            raise ValidationError("is nested too deep") from error
        return expression


class Varied(fields.Field[dict[str, Any]]):
    """An object whose settings depend on what it says that it is."""

    def fields_of(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of such an object, which may be unchecked."""
        raise NotImplementedError


class LayerField(fields.Field[dict[str, Any]]):
    """A layer of any kind, checked by the settings schema of its kind."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        kind = kinds().get(value["kind"]) if isinstance(value.get("kind"), str) else None
        if kind is None:
            raise ValidationError({"kind": [f"must be one of {', '.join(sorted(kinds()))}"]})
        settings: dict[str, Any] = kind.Settings().load(value)
        return settings


class Layers(fields.List[dict[str, Any]]):
    """Layers that run in their order."""

    def __init__(self, **options: Any) -> None:
        super().__init__(LayerField(), required=True, validate=validate.Length(min=1, max=100), **options)


class Number(fields.Float):
    """A JSON number; a string or a boolean is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError("must be a number")
        return super()._deserialize(value, attr, data, **kwargs)


class Whole(fields.Integer):
    """A JSON integer; a string, a boolean or a fraction is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("must be an integer")
        return super()._deserialize(value, attr, data, **kwargs)


class LayerSettings(Strict):
    """What can be set on a layer of any kind."""

    kind = fields.String(required=True, metadata={"description": "What the layer does."})
    name = fields.String(
        validate=validate.Regexp(NAME),
        metadata={"description": "Lets later layers of the property refer to its output."},
    )
    when = Condition(
        metadata={
            "description": "JMESPath on the names in scope. Where it does not hold (false, null, empty) the layer is"
            " skipped, and so is whatever refers to it."
        },
    )
    timeout_seconds = Number(
        load_default=DEFAULT_TIMEOUT_SECONDS,
        validate=validate.Range(min=0.1, max=MAX_TIMEOUT_SECONDS),
        metadata={"description": "Wall-clock deadline of the layer, retries included, in seconds."},
    )


class CompositeSettings(LayerSettings):
    """What can be set on a layer that has others inside of it; each of these has its own time too."""

    timeout_seconds = Number(
        load_default=MAX_COMPOSITE_SECONDS,
        validate=validate.Range(min=0.1, max=MAX_COMPOSITE_SECONDS),
        metadata={"description": "Wall-clock deadline of all of it, in seconds; the execution's own by default."},
    )


@cache
def kinds() -> dict[str, ModuleType]:
    """Every layer kind by its name."""
    return {module.KIND: module for module in registry.modules("shared.layers")}


class Read(NamedTuple):
    """A name that a layer refers to, and the place where it does; an optional one may have been skipped."""

    place: str
    name: str
    optional: bool = False


def texts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a layer that may hold references, with its place in the layer; settings may be unchecked."""
    for place, text, _ in _texts(_schema(settings), settings, ""):
        yield place, text


def reads(settings: Mapping[str, Any]) -> Iterator[Read]:
    """Every name that a layer itself refers to, those inside of it left out; settings may be unchecked."""
    for place, text, optional in _texts(_schema(settings), settings, ""):
        for name in rendering.references(text).names:
            yield Read(place, name, optional)
    for setting, each in _schema(settings).items():
        if isinstance(each, Condition) and setting not in inner_conditions(settings):
            yield from condition_reads(setting, settings.get(setting))


def condition_reads(place: str, expression: Any) -> Iterator[Read]:
    """The names that a condition looks at; none where it is no condition."""
    if isinstance(expression, str):
        try:
            for name in sorted(jmespaths.names(expression)):
                yield Read(place, name)
        except (JMESPathError, ValueError, RecursionError):
            return


def inner_conditions(settings: Mapping[str, Any]) -> frozenset[str]:
    """The settings of a layer that are conditions on what its inner layers see and give."""
    return frozenset(getattr(_kind(settings), "INNER_CONDITIONS", ()))


def inner_names(settings: Mapping[str, Any]) -> frozenset[str]:
    """The names that the layers inside of a layer see beside those that it sees itself."""
    names = getattr(_kind(settings), "names", None)
    return frozenset(names(settings)) | {PREVIOUS} if names else frozenset()


def pipeline(settings: Mapping[str, Any]) -> Reference | None:
    """The pipeline that a layer runs inside of itself, None where it runs none; settings may be unchecked."""
    named = getattr(_kind(settings), "pipeline", None)
    found: Reference | None = named(settings) if named else None
    return found


class Embedded(NamedTuple):
    """A pipeline that a layer may run: where it is named, and its inputs by name where the definition gives them."""

    place: str
    reference: Reference
    inputs: Any = None


def embedded(settings: Mapping[str, Any]) -> list[Embedded]:
    """Every pipeline that a layer may run, in its place among the settings, which may be unchecked."""
    reference = pipeline(settings)
    if reference is not None:
        return [Embedded("", reference, settings.get("inputs", {}))]
    named = getattr(_kind(settings), "embedded", None)
    return list(named(settings)) if named else []


class Piece(NamedTuple):
    """A piece of a layer's work that has a checkpoint: what reports call it, and the pipeline that runs in it."""

    kind: str
    pipeline: Reference | None = None


def piece(settings: Mapping[str, Any], path: str) -> tuple[Piece, str] | None:
    """The piece of a layer's work that a path inside of it names, and what is left of the path; None without one."""
    named = getattr(_kind(settings), "piece", None)
    found: tuple[Piece, str] | None = named(settings, path) if named else None
    return found


def _kind(settings: Mapping[str, Any]) -> ModuleType | None:
    kind = settings.get("kind")
    return kinds().get(kind) if isinstance(kind, str) else None


def _schema(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = _kind(settings)
    return kind.Settings().fields if kind else {}


def _texts(known: Mapping[str, Any], settings: Mapping[str, Any], place: str) -> Iterator[tuple[str, str, bool]]:
    for name, setting in known.items():
        value = settings.get(name, setting.load_default)
        if isinstance(setting, References | Template):
            yield from _leaves(value, f"{place}{name}")
        elif isinstance(setting, Alternatives):
            yield from ((at, text, True) for at, text, _ in _leaves(value, f"{place}{name}"))
        elif isinstance(setting, fields.List) and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _texts(_item_fields(setting.inner, item), item, f"{place}{name}[{index}].")


def _item_fields(inner: Any, item: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(inner, Varied):
        return inner.fields_of(item)
    return inner.schema.fields if isinstance(inner, fields.Nested) else {}


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, str):
        yield place, value, False
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{place}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{place}[{index}]")
