"""What differs between two definitions: matched by name, told by place, and nothing left out."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import differences

WRITE = {"name": "write", "kind": "prompt", "prompt": "Write."}
RANK = {"name": "rank", "kind": "extract", "expression": "@"}
OLD = {
    "inputs": [{"name": "film"}, {"name": "count", "type": "integer"}],
    "properties": [{"name": "reviews", "layers": [WRITE, RANK]}, {"name": "summary", "layers": [{"kind": "text"}]}],
}


def compared(old, new):
    return [(each.kind, each.place) for each in differences.compare(old, new)]


def changed(**places):
    """OLD with the reviews' layers, the inputs or anything else replaced."""
    new = copy.deepcopy(OLD) | {name: each for name, each in places.items() if name != "layers"}
    if "layers" in places:
        new["properties"][0]["layers"] = places["layers"]
    return new


@pytest.mark.parametrize(
    ("new", "found"),
    [
        (OLD, []),
        (changed(layers=[{**WRITE, "prompt": "Speak."}, RANK]),
         [("changed", "properties[reviews].layers[write].prompt")]),
        (changed(layers=[{"kind": "text"}, WRITE, RANK]), [("added", "properties[reviews].layers[0]")]),
        (changed(layers=[RANK]), [("removed", "properties[reviews].layers[write]")]),
        (changed(layers=[RANK, WRITE]), [("moved", "properties[reviews].layers")]),
        (changed(inputs=[OLD["inputs"][1]]), [("removed", "inputs[film]")]),
        (changed(inputs=[{"name": "year"}, *OLD["inputs"]]), [("added", "inputs[year]")]),
        (changed(inputs=[{"name": "film", "type": "array"}, OLD["inputs"][1]]), [("added", "inputs[film].type")]),
        (changed(output="reviews"), [("added", "output")]),
        (changed(properties=OLD["properties"][::-1]), [("moved", "properties")]),
    ],
)  # fmt: skip
def test_places_go_by_name(new, found):
    assert compared(OLD, new) == found


def test_pointers_lead_into_each_definition():
    new = changed(layers=[{"kind": "text"}, {**WRITE, "prompt": "Speak."}, RANK])

    change = differences.compare(OLD, new)[-1]

    assert change.old_pointer == "/properties/0/layers/0/prompt"
    assert change.new_pointer == "/properties/0/layers/1/prompt"
    assert (change.old, change.new) == ("Write.", "Speak.")


def test_layers_without_a_name_are_matched_by_what_they_are():
    text, prompt = {"kind": "text", "value": "{{film}}"}, {"kind": "prompt", "prompt": "Sum up."}
    old, new = changed(layers=[prompt, RANK]), changed(layers=[text, {**prompt, "prompt": "Sum it up."}, RANK])

    assert compared(old, new) == [
        ("added", "properties[reviews].layers[0]"),
        ("changed", "properties[reviews].layers[1].prompt"),
    ]


def test_a_long_text_is_told_line_by_line():
    old = changed(layers=[{**WRITE, "prompt": "You are a critic.\nBe short.\nBe fair."}, RANK])
    new = changed(layers=[{**WRITE, "prompt": "You are a critic.\nBe long.\nBe fair."}, RANK])

    lines = differences.compare(old, new)[0].lines.splitlines()

    assert lines == [
        "--- old",
        "+++ new",
        "@@ -1,3 +1,3 @@",
        " You are a critic.",
        "-Be short.",
        "+Be long.",
        " Be fair.",
    ]


def test_texts_beyond_the_bound_are_not_compared_line_by_line():
    long = "line\n" * differences.MOST_LINES

    assert differences.compare({"description": long}, {"description": "other\n" + long})[0].lines is None


def test_keys_that_are_no_words_are_quoted_and_escaped():
    change = differences.compare({"output": {"a/b~c": 1}}, {"output": {"a/b~c": True}})[0]

    assert (change.place, change.new_pointer) == ('output["a/b~c"]', "/output/a~1b~0c")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from(["a", "b", 1.0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "kind", "layers", "inputs", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
DEFINITIONS = st.dictionaries(st.sampled_from(["layers", "inputs", "properties", "x"]), VALUES, max_size=3)


@settings(max_examples=300, deadline=None)
@given(DEFINITIONS, DEFINITIONS)
def test_there_are_differences_exactly_where_the_hash_is_another(old, new):
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)

    assert (differences.compare(old, new) == []) is same
    assert differences.compare(old, copy.deepcopy(old)) == []
