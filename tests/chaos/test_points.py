"""The points of the crash scenario are where the product still has them, and all of its situations are known."""

import importlib
from functools import reduce

import pytest

from tests.chaos.points import POINTS
from tests.chaos.situations import SITUATIONS


@pytest.mark.parametrize("point", POINTS.values(), ids=lambda point: point.name)
def test_every_point_is_a_function_of_the_product_that_a_situation_passes(point):
    module, _, path = point.target.partition(":")

    found = reduce(getattr, path.split("."), importlib.import_module(module))

    assert callable(found)
    assert point.situation in SITUATIONS
