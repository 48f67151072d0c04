"""What a layer has to work with: the names in its scope, and what it may ask of the outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from shared import rendering
from shared.errors import LayerFailed
from shared.plan import Answer, Input


@dataclass(frozen=True, slots=True)
class Scope:
    """What a layer's references can name: inputs, properties, earlier layers of its property, `previous`."""

    values: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def render(self, text: str) -> str:
        """Fill the references of a text; LayerFailed where that makes too much of it, or a variable has no value."""
        try:
            return rendering.render(text, self.values, self.variables)
        except ValueError as error:
            raise LayerFailed("value_invalid", str(error)) from error
        except rendering.Unset as error:
            raise LayerFailed("variable_missing", str(error)) from error

    def value(self, text: str) -> Any:
        """The value of a text that is one reference, else the rendered text; LayerFailed as above."""
        try:
            return rendering.value(text, self.values, self.variables)
        except ValueError as error:
            raise LayerFailed("value_invalid", str(error)) from error
        except rendering.Unset as error:
            raise LayerFailed("variable_missing", str(error)) from error

    def fill(self, template: Any) -> Any:
        """A template's JSON with the value of each of its texts; LayerFailed as above, for all texts together too."""
        left = rendering.MOST_CHARACTERS

        def filled(each: Any) -> Any:
            nonlocal left
            if isinstance(each, Mapping):
                return {key: filled(inner) for key, inner in each.items()}
            if isinstance(each, list):
                return [filled(inner) for inner in each]
            found = self.value(each) if isinstance(each, str) else each
            left -= len(found) if isinstance(found, str) else 0
            if left < 0:
                raise LayerFailed("value_invalid", f"it renders to more than {rendering.MOST_CHARACTERS} characters")
            return found

        return filled(template)

    def has(self, text: str) -> bool:
        """True where every name that a text refers to stands for something: none was skipped."""
        return self.values.keys() >= set(rendering.references(text).names)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a model; `messages`, `tools` and `response_format` are as OpenAI defines them.

    `attempts` are for each of the model and its `fallback`. An answer that is kept for `cache_seconds` stands for any
    question that is the same. `domains` are those that the provider may search the web in, any where there is none of
    them, None where it is not to search. It is asked `rounds` times at most, each time with `more_tokens` beside what
    was said before; None where nothing bounds that.
    """

    messages: list[dict[str, Any]]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    response_format: Mapping[str, Any] | None = None
    attempts: int = 4
    fallback: tuple[str, ...] = ()
    stream: bool = False
    cache_seconds: float | None = None
    background: bool = False
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | None = None
    domains: tuple[str, ...] | None = None
    rounds: int | None = 1
    more_tokens: int | None = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to somewhere else; `headers` are as they are sent, `max_bytes` bounds the answer's body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    max_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class History:
    """What was said before, the oldest first, as a model takes it; and what the report tells of it, by name."""

    messages: tuple[dict[str, Any], ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)


class Server(NamedTuple):
    """A server of the Model Context Protocol, and what it may be told to let us in."""

    url: str
    token: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Server({self.url})"


class Tools(Protocol):
    """What the worker hands to a layer. What it asks for may raise Stopped or Parked too, which are not the layer's."""

    def ask(self, question: Question) -> Answer:
        """Return a model's answer, its text as output; LayerFailed where there is none."""

    def history(self, channel: str | None) -> History:
        """What was said on a channel of the thread, None for the execution's own, before it was first claimed.

        Nothing without a thread, and where the layer's pipeline does not read it.
        """

    def keep(self, question: Question, answer: Answer) -> None:
        """Keep an answer that has proved good for as long as its question says; one that was kept already is not."""

    def inner(self, values: Mapping[str, Any], suffix: str) -> Any:
        """Run the layers inside of this one with further names, each with a checkpoint under its path and the suffix.

        Returns the output of the last one, SKIPPED where all were skipped; LayerFailed where one fails.
        """

    def each(self, count: int, work: Callable[[int], None], concurrency: int) -> None:
        """Call `work` with 0 to `count` - 1, so many at once; what one raises ends the rest, and is raised."""

    def pipeline(self, handle: str, version: str, inputs: Mapping[str, Any]) -> Any:
        """Run another pipeline inside of this layer and return its document; LayerFailed where it fails."""

    def fetch(self, request: Request) -> Response:
        """Send a request to a guarded address within the layer's time; LayerFailed where there is no answer."""

    def step(self, suffix: str, work: "Callable[[Tools], Answer]") -> Any:
        """Do a piece of the layer's work that is done once, and give its output; LayerFailed where it failed.

        It has a checkpoint of its own under the layer's path and the suffix, and what it asks for is booked with that.
        """

    def declared(self, handle: str, version: str) -> tuple[Input, ...]:
        """The inputs of another pipeline, in the version that would run; LayerFailed where there is none."""

    def remote_tools(self, server: Server) -> list[dict[str, Any]]:
        """What a server of the Model Context Protocol offers: `name`, `description` and `parameters` of each."""

    def call_remote(self, server: Server, name: str, arguments: Mapping[str, Any]) -> str:
        """Have such a server call a tool of its own; LayerFailed where it cannot, or says that it failed."""

    def search(
        self, folder: str | Sequence[str], query: str, limit: int, *, tags: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """The chunks of knowledge that fit a question best: `text`, `document`, `name`, `score` and more of each.

        Of one folder, of several, or of all where none is named; LayerFailed for one that is not there.
        """

    def tell(self, event: str, **fields: Any) -> None:
        """Tell those who watch of `tool_start`, `tool_end` or `data`; a hint, written down nowhere."""
