"""Upper bounds, where something is known, and what a value is before it exists: itself, or how large it may be."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared import rendering

#: A token of an answer counts as so many where the answer is read again: quoted as JSON, taken apart, by another model.
READ_AGAIN = 4


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so many calls and tokens, and US dollars for them; None where nothing bounds it."""

    calls: int | None = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: Decimal | None = Decimal()

    @property
    def tokens(self) -> int | None:
        """Prompts and answers together."""
        return add(self.prompt_tokens, self.completion_tokens)

    def __add__(self, other: "Bound") -> "Bound":
        return Bound(
            add(self.calls, other.calls),
            add(self.prompt_tokens, other.prompt_tokens),
            add(self.completion_tokens, other.completion_tokens),
            None if self.cost is None or other.cost is None else self.cost + other.cost,
        )

    def __or__(self, other: "Bound") -> "Bound":
        """What bounds either of the two."""
        return Bound(
            larger(self.calls, other.calls),
            larger(self.prompt_tokens, other.prompt_tokens),
            larger(self.completion_tokens, other.completion_tokens),
            None if self.cost is None or other.cost is None else max(self.cost, other.cost),
        )

    def times(self, count: int) -> "Bound":
        """The bound of so many of these."""
        if count == 0:
            return Bound()
        return Bound(
            multiply(self.calls, count),
            multiply(self.prompt_tokens, count),
            multiply(self.completion_tokens, count),
            None if self.cost is None else self.cost * count,
        )


@dataclass(frozen=True, slots=True)
class Guess:
    """A value that is known, or else one whose text comes to at most `size` tokens, None where nothing bounds it.

    What is not `certain` may be skipped, and not be there at all.
    """

    value: Any = None
    known: bool = False
    size: int | None = None
    certain: bool = True

    @classmethod
    def of(cls, value: Any, *, certain: bool = True) -> "Guess":
        """A known value."""
        return cls(value, known=True, size=len(rendering.as_text(value).encode(errors="replace")), certain=certain)

    def or_else(self, other: "Guess") -> "Guess":
        """What stands for either of the two."""
        return Guess(size=larger(self.size, other.size), certain=self.certain and other.certain)

    def doubtful(self) -> "Guess":
        """The same, but it may be skipped."""
        return Guess(self.value, self.known, self.size, certain=False)


def add(one: int | None, other: int | None) -> int | None:
    """The sum, None where one of them has no bound."""
    return None if one is None or other is None else one + other


def total(sizes: Iterable[int | None]) -> int | None:
    """The sum of all."""
    found: int | None = 0
    for each in sizes:
        found = add(found, each)
    return found


def larger(one: int | None, other: int | None) -> int | None:
    """The larger one, None where one of them has no bound."""
    return None if one is None or other is None else max(one, other)


def multiply(one: int | None, other: int | None) -> int | None:
    """The product; nothing of what has no bound is nothing."""
    if one == 0 or other == 0:
        return 0
    return None if one is None or other is None else one * other
