"""A definition made ready to run: frozen values that the engine, the wires and the report share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Input:
    """A declared input; `type` is a JSON type: string, integer, number, boolean, array or object."""

    name: str
    type: str = "string"
    required: bool = False
    default: Any = None
    description: str = ""


#: Failures that no `on_error` makes up for: what may be spent is spent.
UNFORGIVEN: Final = frozenset({"budget_exceeded"})
#: The name of what the layer before has given.
PREVIOUS: Final = "previous"


class Skipped(Enum):
    """What a layer or a property gives whose condition does not hold: nothing, and not null either."""

    SKIPPED = "skipped"


SKIPPED: Final = Skipped.SKIPPED


#: What a pipeline may have to do with threads.
MEMORY_MODES: Final = ("stateless", "read_only", "read_write", "write_only")


class Memory(NamedTuple):
    """What the layers of a pipeline have to do with the thread of an execution."""

    mode: str = "stateless"
    #: About how many tokens of what was said before are read, the newest first.
    history_tokens: int = 8000

    @property
    def reads(self) -> bool:
        """True where models are told what was said before."""
        return self.mode in ("read_only", "read_write")

    @property
    def writes(self) -> bool:
        """True where what is said now is told to those who come later."""
        return self.mode in ("write_only", "read_write")


STATELESS: Final = Memory()


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a property; `path` (`reviews/write`) names its checkpoint, `id` names it to Discuro's callers.

    `reads` are the names that must be there for it to run, `when` a condition on them. `layers` are those inside of it,
    `memory` is its pipeline's.
    """

    path: str
    name: str | None
    kind: str
    settings: Mapping[str, Any]
    timeout_seconds: float
    id: int = 0
    reads: frozenset[str] = frozenset()
    when: str | None = None
    layers: "tuple[Layer, ...]" = ()
    memory: Memory = STATELESS

    @property
    def segment(self) -> str:
        """What its path ends with: its name, or its place."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Property:
    """One value of the document; `needs` are the properties whose values it reads.

    Those of them that are `optional` may be skipped without it being so. `on_error` is `fail`, `omit`, or `default`:
    then `default` is its value where it fails.
    """

    name: str
    layers: tuple[Layer, ...]
    needs: frozenset[str]
    id: int = 0
    optional: frozenset[str] = frozenset()
    when: str | None = None
    on_error: str = "fail"
    default: Any = None


class Reference(NamedTuple):
    """A pipeline that another one runs, as its definition names it."""

    handle: str
    version: str

    def __str__(self) -> str:
        return f"{self.handle}@{self.version}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one version runs; properties stand in the order of the definition."""

    inputs: tuple[Input, ...]
    properties: tuple[Property, ...]
    output: str | None
    deadline_seconds: int
    variables: tuple[str, ...] = ()
    #: The pipelines that its layers run.
    pipelines: tuple[Reference, ...] = ()
    memory: Memory = STATELESS

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

    def __hash__(self) -> int:
        # Plans have values in them that have none; a version never changes, and its uuid is its own.
        return hash(self.uuid)


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
class Call:
    """One request that was sent to a provider, as the books have it.

    `model` is `provider/model`; `outcome` is `answered` or the reason code of what went wrong. `usage` is what the
    provider counted, `cost` what that comes to in US dollars where the prices are known. An answer that was not used,
    because it was asked for again, is not `kept`. A call that was cut before its answer is `uncertain`: it may have
    been paid, and its `usage` and `cost` are what was estimated for it.
    """

    model: str
    outcome: str
    #: The number of its intent within the attempt; 0 where none was written.
    number: int = 0
    usage: Usage | None = None
    cost: Decimal | None = None
    kept: bool = True
    uncertain: bool = False


class ToolCall(NamedTuple):
    """A function that a model wants to have called; `arguments` is JSON as the model wrote it, good or bad."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a layer gave: its output (JSON), the calls that were sent for it, and the provider's id of the answer.

    `details` are what the report tells of how it came about, by name: `model`, `cached`, `warning`, ….
    A model's answer may ask for calls of tools instead of being the last word.
    """

    output: Any
    calls: tuple[Call, ...] = ()
    provider_response_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    tool_calls: tuple[ToolCall, ...] = ()
    #: What a thread may remember of it: `{channel, user, assistant}`.
    said: Mapping[str, Any] | None = None

    @property
    def usage(self) -> Usage | None:
        """What the providers counted for all of its answered calls, None where none was counted."""
        return _sum(each.usage for each in self.calls if not each.uncertain)


@dataclass(frozen=True, slots=True)
class Result:
    """A layer that has ended: passed with its output, or failed with an error text and a reason code.

    A failed layer may have sent calls too. A skipped one has passed, without an output.
    """

    path: str
    passed: bool
    seconds: float
    output: Any = None
    error: str | None = None
    reason: str | None = None
    calls: tuple[Call, ...] = ()
    provider_response_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False
    #: Calls that were sent for it before, when it had to wait for its provider and was put aside.
    sent_before: int = 0
    #: What it adds to the thread of its execution: `{channel, user, assistant}`.
    said: Mapping[str, Any] | None = None

    @property
    def usage(self) -> Usage | None:
        """What the providers counted for all of its answered calls, None where none was counted."""
        return _sum(each.usage for each in self.calls if not each.uncertain)

    @property
    def retried_usage(self) -> Usage | None:
        """How much of `usage` was for answers that were not used."""
        return _sum(each.usage for each in self.calls if not each.uncertain and not each.kept)

    @property
    def cost(self) -> Decimal | None:
        """US dollars for `usage`; None where no price is known."""
        known = [each.cost for each in self.calls if not each.uncertain and each.cost is not None]
        return sum(known, Decimal()) if known else None


def _sum(counted: Iterable[Usage | None]) -> Usage | None:
    known = [each for each in counted if each is not None]
    return sum(known, Usage()) if known else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: the document, and where it failed (property → result of the layer that failed)."""

    document: Any
    failures: Mapping[str, Result] = field(default_factory=dict)
