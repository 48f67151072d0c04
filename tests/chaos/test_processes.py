"""Faults that happen to processes: a small part of each scenario of `make chaos`."""

import pytest

from tests.chaos.conftest import SEED
from tests.chaos.points import POINTS
from tests.chaos.scenarios import crash_points
from tests.chaos.stack import chaos_stack

pytestmark = pytest.mark.chaos
#: Some of those at which `make chaos` dies.
POINTS_HERE = (
    ("accept after", 1),
    ("claim after", 2),
    ("call answered", 1),
    ("record after", 2),
    ("rescue after", 1),
    ("park after", 1),
    ("said after", 1),
    ("let go after", 2),
    ("release before", 1),
    ("cancel asked after", 1),
    ("alone record", 1),
    ("tell sent", 1),
)


def test_a_process_may_die_between_any_two_steps():
    with chaos_stack(**crash_points.SETTINGS) as stack:
        trials = [(POINTS[name], passing) for name, passing in POINTS_HERE]
        scores = crash_points.tried(stack, trials, seed=SEED)

    assert scores.broken == []


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("random_kills", 0.1),
        ("zombie", 0.1),
        ("poison", 0.2),
        ("beats", 0.1),
        ("rolling_restart", 0.2),
        ("clock", 0.1),
        ("recovery", 0.1),
    ],
)
def test_every_promise_holds_in(name, size, scenario):
    assert scenario(name, size).broken == []
