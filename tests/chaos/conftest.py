"""The scenarios of `make chaos`, as tests: the same code on the same stacks, at a small part of the length."""

from collections.abc import Callable

import pytest

from tests.chaos import scorecard
from tests.chaos.scores import Scores

#: The same each time: what fails here can be run again.
SEED = 7


@pytest.fixture
def scenario() -> Callable[..., Scores]:
    """Run a scenario by its name at a part of its length; its scores. Skips where this machine cannot run it."""

    def scenario(name: str, size: float) -> Scores:
        scores = scorecard.run(name, seed=SEED, size=size)
        if scores.skipped:
            pytest.skip(scores.skipped)
        return scores

    return scenario
