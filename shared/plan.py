"""A definition made ready to run: frozen values that the engine, the wires and the report share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Input:
    """A declared input; `type` is a JSON type: string, integer, number, boolean, array or object."""

    name: str
    type: str = "string"
    required: bool = False
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a property; `path` (`reviews/write`) names its checkpoint, `id` names it to Discuro's callers."""

    path: str
    name: str | None
    kind: str
    settings: Mapping[str, Any]
    timeout_seconds: float
    id: int = 0


@dataclass(frozen=True, slots=True)
class Property:
    """One value of the document; `needs` are the properties whose values its layers read."""

    name: str
    layers: tuple[Layer, ...]
    needs: frozenset[str]
    id: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one version runs; properties stand in the order of the definition."""

    inputs: tuple[Input, ...]
    properties: tuple[Property, ...]
    output: str | None
    deadline_seconds: int
    variables: tuple[str, ...] = ()

    def property(self, name: str) -> Property | None:
        """The property of a name, None where there is none."""
        return next((each for each in self.properties if each.name == name), None)

    def ordered(self) -> list[Property]:
        """The properties, each behind those that it needs."""
        found: list[Property] = []
        names: set[str] = set()
        left = list(self.properties)
        while left:
            ready = [each for each in left if each.needs <= names]
            found += ready
            names |= {each.name for each in ready}
            left = [each for each in left if each.name not in names]
        return found

    def document(self, values: Mapping[str, Any]) -> Any:
        """The output document, of the properties' values: one of them where `output` names it, else all."""
        if self.output is not None:
            return values.get(self.output)
        return {each.name: values[each.name] for each in self.properties if each.name in values}


@dataclass(frozen=True, slots=True)
class Version:
    """A version ready to run, with the names of its pipeline."""

    id: int
    number: int
    uuid: UUID
    handle: str
    pipeline_uuid: UUID
    pipeline_id: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
        )

    def as_json(self) -> dict[str, int]:
        """The three counters under the names that every wire uses."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a layer gave: its output (JSON), the tokens it cost, and the provider's id of the answer."""

    output: Any
    usage: Usage | None = None
    provider_response_id: str | None = None
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """A layer that has ended: passed with its output, or failed with an error text and a reason code.

    `calls` counts the requests sent to a provider, retries included; a failed layer may have cost tokens too.
    """

    path: str
    passed: bool
    seconds: float
    output: Any = None
    error: str | None = None
    reason: str | None = None
    usage: Usage | None = None
    provider_response_id: str | None = None
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: the document, and where it failed (property → result of the layer that failed)."""

    document: Any
    failures: Mapping[str, Result] = field(default_factory=dict)
