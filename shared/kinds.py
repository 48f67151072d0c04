"""What every layer kind shares: the base of its settings, its text fields, and what it may ask for from outside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from shared import registry, rendering
from shared.errors import LayerFailed
from shared.plan import Answer

#: What names a property, a layer or an input; `$` alone would let a line break at the end pass.
NAME = f"^{rendering.NAME}$(?!\n)"
DEFAULT_TIMEOUT_SECONDS = 60.0
MAX_TIMEOUT_SECONDS = 3600.0


class Strict(Schema):
    """A schema that refuses what it does not know."""

    class Meta:
        """marshmallow's own options."""

        unknown = RAISE


class References(fields.String):
    """A text that may hold `{{references}}` and `${VARIABLES}`."""


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
    timeout_seconds = Number(
        load_default=DEFAULT_TIMEOUT_SECONDS,
        validate=validate.Range(min=0.1, max=MAX_TIMEOUT_SECONDS),
        metadata={"description": "Wall-clock deadline of the layer, retries included, in seconds."},
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """What a layer's references can name: inputs, properties, earlier layers of its property, `previous`."""

    values: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)

    def render(self, text: str) -> str:
        """Fill the references of a text; LayerFailed where that makes too much of it."""
        try:
            return rendering.render(text, self.values, self.variables)
        except ValueError as error:
            raise LayerFailed("config", str(error)) from error

    def value(self, text: str) -> Any:
        """The value of a text that is one reference, else the rendered text; LayerFailed as above."""
        try:
            return rendering.value(text, self.values, self.variables)
        except ValueError as error:
            raise LayerFailed("config", str(error)) from error


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a model; `messages` are `{role, content}`, `response_format` is as OpenAI defines it."""

    messages: list[dict[str, str]]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None
    attempts: int = 4


class Tools(Protocol):
    """What the worker hands to a layer."""

    def ask(self, question: Question) -> Answer:
        """Return a model's answer, its text as output; LayerFailed or Stopped where there is none."""


@cache
def kinds() -> dict[str, ModuleType]:
    """Every layer kind by its name."""
    return {module.KIND: module for module in registry.modules("shared.layers")}


def texts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a layer that may hold references, with its place in the layer; settings may be unchecked."""
    kind = settings.get("kind")
    if isinstance(kind, str) and kind in kinds():
        yield from _texts(kinds()[kind].Settings(), settings, "")


def _texts(schema: Schema, settings: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for name, setting in schema.fields.items():
        value = settings.get(name, setting.load_default)
        if isinstance(setting, References) and isinstance(value, str):
            yield f"{place}{name}", value
        elif isinstance(setting, fields.List) and isinstance(setting.inner, fields.Nested) and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _texts(setting.inner.schema, item, f"{place}{name}[{index}].")
