"""What is handed along while a model is asked: who asks, what is sent with whose key, and what comes back."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from shared import plan
from shared.ledger import Intent
from shared.outside import Question
from shared.plan import ToolCall, Usage
from shared.providers import Target
from worker.providers.transport import Exchange
from worker.running import Run


class Books(Protocol):
    """Where the calls of a run are written down, and what bounds them."""

    def allow(
        self, target: Target, prompt_tokens: int, wanted: int | None, *, seconds: float
    ) -> AbstractContextManager[int | None]:
        """Reserve what a call may cost during the block, which gets the bound to send for its answer in tokens.

        LayerFailed with `budget_exceeded` where nothing is left within so many seconds.
        """

    def open(self, path: str, target: Target, estimate: Usage) -> int:
        """Write the intent of a call, and return its number."""

    def catch_up(self, path: str) -> None:
        """Write what was to go with the next call of a layer, before that waits for anything."""

    def attach(self, number: int, response_id: str) -> None:
        """Note under which id the answer of a call is made in the background."""

    def prior(self, path: str) -> list[Intent]:
        """Take over the answers that earlier attempts have asked for in the background for a layer, newest first."""

    def drop(self, number: int) -> None:
        """Forget the intent of a call that was never sent."""

    def note(self, call: plan.Call) -> None:
        """Count a call that was sent."""


@dataclass(frozen=True, slots=True)
class Asking:
    """On whose behalf a model is asked, and within what; `sent_before` are calls from before the layer was parked."""

    run: Run
    path: str
    seconds: float
    headers: Mapping[str, str]
    books: Books
    organization_id: int
    sent_before: int = 0


class Credential(NamedTuple):
    """A key of a provider, and what names it where the key itself must not be."""

    key: str
    id: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"Credential({self.id})"


@dataclass(frozen=True, slots=True)
class Line:
    """A model as it is reached with one key. What is learned of it, and every limit, holds for this line alone."""

    target: Target
    credential: Credential

    @property
    def name(self) -> str:
        """What names it in budgets, buckets and breakers."""
        return f"{self.credential.id}/{self.target.model}"


@dataclass(frozen=True, slots=True)
class Request:
    """One call that is about to be sent; `number` is that of its intent, `max_tokens` bounds its answer.

    With a `response_id` it was sent before, by an attempt that is over.
    """

    question: Question
    line: Line
    asking: Asking
    exchange: Exchange
    max_tokens: int | None
    number: int
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, whichever way it was asked; `headers` are those that its answer came with.

    One that is `cached` was said before, to the same question. `told` is what the report tells of it besides: of its
    `tokens` those that were `cached` and those of `reasoning`, and the `citations` of what it has read.
    """

    text: str
    usage: Usage | None = None
    response_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
