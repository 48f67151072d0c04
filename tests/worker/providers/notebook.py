"""Books that are kept in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.ledger import Intent
from shared.plan import Call, Usage
from shared.providers import Target


@dataclass
class Notebook:
    """What a run's books are told; there is no budget."""

    opened: list[tuple[str, str, Usage]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    caught_up: list[str] = field(default_factory=list)
    noted: list[Call] = field(default_factory=list)
    attached: list[tuple[int, str]] = field(default_factory=list)
    earlier: list[Intent] = field(default_factory=list)

    @contextmanager
    def allow(self, target: Target, prompt_tokens: int, wanted: int | None, *, seconds: float) -> Iterator[int | None]:
        """Whatever is wanted."""
        yield wanted

    def open(self, path: str, target: Target, estimate: Usage) -> int:
        """The number of a call that is about to be sent."""
        self.opened.append((path, target.name, estimate))
        return len(self.opened)

    def catch_up(self, path: str) -> None:
        """What was to go with a call is written first."""
        self.caught_up.append(path)

    def attach(self, number: int, response_id: str) -> None:
        """The id of an answer that is made in the background."""
        self.attached.append((number, response_id))

    def prior(self, path: str) -> list[Intent]:
        """What was asked for before, once."""
        found, self.earlier = self.earlier, []
        return found

    def drop(self, number: int) -> None:
        """It was never sent."""
        self.dropped.append(number)

    def note(self, call: Call) -> None:
        """It was sent."""
        self.noted.append(call)
