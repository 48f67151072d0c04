"""The rules' own words: bundles, steps, and what is refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from uuid import UUID

import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from shared.executions import Claim

#: Executions by id, what was ever claimed, and workers: alive, dead and gone.
accepted: Bundle[int] = Bundle("accepted")
claims: Bundle[Claim] = Bundle("claims")
crew: Bundle[UUID] = Bundle("crew")


def step(**arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A rule, after which the machine is known to be sound only once its invariants were checked."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(machine: RuleBasedStateMachine, **drawn: Any) -> Any:
            machine.sound = False
            return function(machine, **drawn)

        return rule(**arguments)(wrapped)

    return decorate


@contextmanager
def refused(error: type[Exception], *, when: bool) -> Iterator[None]:
    """Expect the block to raise an error in this case, and not to otherwise."""
    if not when:
        yield
        return
    with pytest.raises(error):
        yield
