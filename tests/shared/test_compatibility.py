"""What of a new version breaks who calls it as the old one."""

import pytest

from shared import compatibility, definition
from tests import factories

FILM = {"name": "film", "required": True}
COUNT = {"name": "count", "type": "integer", "default": 3}


def plan(*inputs, properties=("answer",), **rest):
    nodes = [{"name": name, "layers": [factories.prompt_layer()]} for name in properties]
    return definition.read({"inputs": list(inputs), "properties": nodes, **rest}).plan


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        (plan(FILM), plan(FILM), {}),
        (plan(FILM), plan(), {"inputs[film]": True}),
        (plan(), plan(FILM), {"inputs[film]": True}),
        (plan(), plan(COUNT), {"inputs[count]": False}),
        (plan({"name": "film"}), plan(FILM), {"inputs[film]": True}),
        (plan(FILM), plan({"name": "film"}), {"inputs[film]": False}),
        (plan(FILM), plan({**FILM, "type": "array"}), {"inputs[film]": True}),
        (plan(COUNT), plan({**COUNT, "type": "number"}), {"inputs[count]": False}),
        (plan({**COUNT, "type": "number"}), plan(COUNT), {"inputs[count]": True}),
        (plan(COUNT), plan({**COUNT, "default": 4}), {"inputs[count]": False}),
        (plan(COUNT), plan({**COUNT, "required": True}), {}),
        (plan(properties=("a", "b")), plan(properties=("a",)), {"properties[b]": True}),
        (plan(properties=("a",)), plan(properties=("a", "b")), {"properties[b]": False}),
        (plan(properties=("a", "b")), plan(properties=("b", "a")), {}),
        (plan(), plan(output="answer"), {"output": True}),
    ],
)
def test_what_callers_may_notice_is_told_with_whether_it_breaks_them(old, new, places):
    assert {each.place: each.breaking for each in compatibility.notes(old, new)} == places
