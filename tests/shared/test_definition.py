import copy
import time

import pytest

from shared.definition import is_handle, paths, read
from shared.errors import Invalid
from tests.factories import prompt_layer, source

FULL = {
    "handle": "movie-reviews",
    "name": "Movie reviews",
    "inputs": [{"name": "movie", "required": True}, {"name": "count", "type": "integer", "default": 3.0}],
    "properties": [
        {
            "name": "reviews",
            "layers": [
                {"name": "write", "kind": "prompt", "prompt": "{{count}} reviews of {{movie}} with ${API_KEY}"},
                {"kind": "extract", "expression": "[0]"},
            ],
        },
        {"name": "summary", "layers": [{"kind": "prompt", "prompt": "Sum up: {{reviews}}", "timeout_seconds": 5}]},
    ],
    "output": "summary",
    "deadline_seconds": 600,
}


def faults(definition):
    with pytest.raises(Invalid) as caught:
        read(definition)
    return {fault.field: fault.code for fault in caught.value.faults}


def test_a_definition_becomes_a_plan():
    plan = read(FULL, ids={"reviews": 1, "reviews/write": 2, "reviews/1": 3, "summary": 4, "summary/0": 5}).plan

    assert [(each.name, each.id, set(each.needs)) for each in plan.properties] == [
        ("reviews", 1, set()),
        ("summary", 4, {"reviews"}),
    ]
    assert [(layer.path, layer.id) for each in plan.properties for layer in each.layers] == [
        ("reviews/write", 2),
        ("reviews/1", 3),
        ("summary/0", 5),
    ]


def test_a_default_is_of_the_input_s_type():
    assert read(FULL).plan.inputs[1].default == 3


def test_a_layer_s_timeout_is_its_own_or_a_minute():
    layers = [layer for each in read(FULL).plan.properties for layer in each.layers]

    assert [layer.timeout_seconds for layer in layers] == [60.0, 60.0, 5.0]


def test_variables_are_named_once():
    assert read(FULL).plan.variables == ("API_KEY",)


def test_every_node_has_a_path_in_the_order_of_the_definition():
    assert paths(read(FULL).plan) == ["reviews", "reviews/write", "reviews/1", "summary", "summary/0"]


#: Everything that can be wrong, and where.
FAULTY = {
    "nmae": "x",
    "inputs": [{"name": "a b"}, {"type": "text"}, {"name": "n", "type": "integer", "default": "many"}],
    "properties": [
        {"name": "p", "layers": [{"kind": "prompt"}, {"kind": "magic"}, prompt_layer("{{nobody}}")]},
        {"name": "p", "layers": []},
        {"layers": [prompt_layer(temperature="hot", colour="red"), "layer"]},
    ],
    "output": "q",
    "deadline_seconds": 0,
}
FAULTS = {
    "nmae": "unknown",
    "inputs[0].name": "invalid",
    "inputs[1].name": "missing",
    "inputs[1].type": "invalid",
    "inputs[2].default": "invalid",
    "properties[0].layers[0].prompt": "invalid",
    "properties[0].layers[1].kind": "invalid",
    "properties[0].layers[2].prompt": "unknown",
    "properties[0].name": "duplicate",
    "properties[1].name": "duplicate",
    "properties[1].layers": "invalid",
    "properties[2].name": "missing",
    "properties[2].layers[0].temperature": "invalid",
    "properties[2].layers[0].colour": "unknown",
    "properties[2].layers[1]": "invalid",
    "output": "unknown",
    "deadline_seconds": "invalid",
}


def test_every_fault_is_told_at_once_with_its_place():
    assert faults(FAULTY) == FAULTS


@pytest.mark.parametrize(
    "definition",
    [None, [], "text", 7, {}, {"properties": None}, {"properties": []}, {"properties": {}}, {"properties": [None]}],
)
def test_what_is_no_definition_is_refused(definition):
    assert faults(definition)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"deadline_seconds": 1.5}, "deadline_seconds"),
        ({"deadline_seconds": True}, "deadline_seconds"),
        ({"deadline_seconds": "60"}, "deadline_seconds"),
        ({"deadline_seconds": 7 * 24 * 3600 + 1}, "deadline_seconds"),
        ({"deadline_seconds": 10**400}, "deadline_seconds"),
        ({"memory": "always"}, "memory"),
        ({"memory": None}, "memory"),
        ({"history_tokens": 0}, "history_tokens"),
        ({"history_tokens": 1.5}, "history_tokens"),
        ({"output": 7}, "output"),
        ({"output": ""}, "output"),
        ({"handle": "Movie"}, "handle"),
        ({"handle": "movie\n"}, "handle"),
        ({"name": "x" * 201}, "name"),
        ({"inputs": [{"name": "a", "required": "yes"}]}, "inputs[0].required"),
        ({"inputs": [{"name": "a", "type": ["string"]}]}, "inputs[0].type"),
        ({"inputs": [{"name": "a\n"}]}, "inputs[0].name"),
        ({"inputs": [{"name": "1a"}]}, "inputs[0].name"),
        ({"inputs": [{"name": "a" * 65}]}, "inputs[0].name"),
        ({"inputs": [{"name": "a", "type": "boolean", "default": 0}]}, "inputs[0].default"),
        ({"inputs": [{"name": "a", "type": "array", "default": "[]"}]}, "inputs[0].default"),
    ],
)
def test_a_bad_setting_is_refused_at_its_place(change, place):
    assert list(faults({**source(), **change})) == [place]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": 3601}, "timeout_seconds"),
        ({"timeout_seconds": "60"}, "timeout_seconds"),
        ({"timeout_seconds": 10**400}, "timeout_seconds"),
        ({"channel": "two words"}, "channel"),
        ({"channel": "x" * 65}, "channel"),
        ({"channel": "line\n"}, "channel"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"retry": {"attempts": 0}}, "retry.attempts"),
        ({"retry": {"attempts": 11}}, "retry.attempts"),
        ({"retry": {"times": 2}}, "retry.times"),
        ({"messages": [{"role": "user", "content": "x"}]}, "prompt"),
        ({"name": "write\n"}, "name"),
        ({"output": "xml"}, "output"),
        ({"output": {"type": "json_schema"}}, "output.schema"),
        ({"output": {"type": "json_schema", "schema": {"type": "thing"}}}, "output.schema"),
        ({"output": {"type": "json_schema", "schema": {"$ref": "http://127.0.0.1:1/x"}}}, "output.schema"),
        ({"output": {"type": "json", "schema": {}}}, "output.schema"),
        ({"output": {"type": "json", "strict": True}}, "output.strict"),
        ({"output": {"type": "json", "name": "a b"}}, "output.name"),
        ({"output": {"type": "json", "name": "é"}}, "output.name"),
    ],
)
def test_a_bad_setting_of_a_prompt_is_refused_at_its_place(settings, place):
    assert list(faults(source(prompt_layer(**settings)))) == [f"properties[0].layers[0].{place}"]


def test_a_fault_in_a_message_is_told_at_the_message():
    layer = {"kind": "prompt", "messages": [{"role": "user", "content": "x"}, {"role": "robot", "content": "{{y}}"}]}

    assert set(faults(source(layer))) == {
        "properties[0].layers[0].messages[1].role",
        "properties[0].layers[0].messages[1].content",
    }


@pytest.mark.parametrize(
    "layer",
    [
        {"kind": "extract"},
        {"kind": "extract", "expression": "a["},
        {"kind": "extract", "expression": "(" * 5_000},
        {"kind": "text", "operation": "reverse"},
        {"kind": "text", "operation": "replace"},
        {"kind": "text", "operation": "case"},
        {"kind": "text", "operation": "split", "separator": ""},
    ],
)
def test_a_bad_setting_of_another_kind_is_refused(layer):
    assert faults(source(prompt_layer(), layer))


def test_a_definition_that_is_read_is_not_changed():
    before = copy.deepcopy(FULL)

    read(FULL)

    assert before == FULL


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(FULL.items())),
        {**FULL, "handle": "another"},
        {key: value for key, value in FULL.items() if key != "handle"},
    ],
)
def test_the_same_definition_has_the_same_hash(same):
    assert read(same).hash == read(FULL).hash


def test_a_hash_does_not_change_from_release_to_release():
    assert read(source()).hash == "b9361982f1acfd7e24471e361d0a59b42dc9c7e7350e2f3b0d3c592fcec81fd7"


def test_another_definition_has_another_hash():
    assert read({**FULL, "name": "Reviews of movies"}).hash != read(FULL).hash


def test_half_a_surrogate_pair_has_a_hash_too():
    assert len(read(source(description="\ud800")).hash) == 64


@pytest.mark.parametrize("text", ["{{a b}}", "{{ a | upper }}", "{{}}"])
def test_what_looks_like_a_reference_and_is_none_is_warned_about(text):
    (warning,) = read(source(prompt_layer(f"x {text}"))).warnings

    assert warning == f"properties[0].layers[0].prompt: {text} is no reference and stays as it is"


def test_required_beside_a_default_is_warned_about():
    (warning,) = read(source(inputs=[{"name": "a", "required": True, "default": "x"}])).warnings

    assert warning.startswith("inputs[0]")


@pytest.mark.parametrize(
    ("text", "holds"),
    [("a", True), ("a-1", True), ("a" * 63, True), ("a" * 64, False), ("", False), ("A", False), ("1a", False)],
)
def test_a_handle_is_lower_case_and_short(text, holds):
    assert is_handle(text) is holds


@pytest.mark.parametrize("text", ["a\n", "a b", "é", "a_b", "-a"])
def test_a_handle_has_no_other_characters(text):
    assert not is_handle(text)


def test_the_largest_definition_is_read_in_no_time():
    properties = [
        {"name": f"p{number}", "layers": [prompt_layer("".join(f"{{{{p{other}}}}}" for other in range(number)))]}
        for number in range(300)
    ]
    started = time.process_time()

    read({"properties": properties})

    assert time.process_time() - started < 5
