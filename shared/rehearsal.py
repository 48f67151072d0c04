"""What an execution would do, and what it may come to at most; told before it starts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.bounds import Bound, Guess
from shared.outside import Question


@dataclass(slots=True)
class Step:
    """A layer as it would run. `runs` is `yes`, `maybe` or `no`; `times` is how often at most, 1 outside of others."""

    path: str
    kind: str
    timeout_seconds: float
    runs: str = "yes"
    times: int = 1
    question: Question | None = None
    #: What it gives, where that is known.
    output: Guess | None = None
    bound: Bound = field(default_factory=Bound)
    #: With every attempt of every model used up.
    with_retries: Bound = field(default_factory=Bound)
    warnings: list[str] = field(default_factory=list)
    inner: "list[Step]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """A property as it would run."""

    name: str
    needs: tuple[str, ...]
    runs: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What an execution would do: its properties in an order that they can run in, and bounds on all of it.

    `warnings` are of what is known to fail; `unbounded` of the layers that nothing bounds.
    """

    parts: tuple[Part, ...]
    bound: Bound
    with_retries: Bound
    warnings: tuple[str, ...]
    unbounded: tuple[str, ...]


def deep(steps: Iterable[Step]) -> Iterator[Step]:
    """Every step, those inside of others too."""
    for step in steps:
        yield step
        yield from deep(step.inner)
