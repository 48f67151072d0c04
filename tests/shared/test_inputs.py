import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.inputs import TYPES, bind, convert
from shared.plan import Input, Plan

DEEP = "[" * 33 + "]" * 33


def plan(*inputs):
    return Plan(inputs=inputs, properties=(), output=None, deadline_seconds=60)


@pytest.mark.parametrize(
    ("type_name", "given", "bound"),
    [
        ("string", "x", "x"),
        ("string", "", ""),
        ("string", 7, "7"),
        ("string", 1.5, "1.5"),
        ("string", True, "true"),
        ("string", "007", "007"),
        ("integer", 7, 7),
        ("integer", 7.0, 7),
        ("integer", 10**30, 10**30),
        ("number", 7, 7),
        ("number", 1.5, 1.5),
        ("boolean", False, False),
        ("array", [1], [1]),
        ("object", {"a": 1}, {"a": 1}),
    ],
)
def test_a_typed_wire_takes_values_of_the_type(type_name, given, bound):
    assert convert(type_name, given) == bound


@pytest.mark.parametrize(
    ("type_name", "given"),
    [
        ("string", ["x"]),
        ("string", {"a": 1}),
        ("integer", "7"),
        ("integer", 7.5),
        ("integer", True),
        ("integer", [7]),
        ("number", "1.5"),
        ("number", True),
        ("boolean", 1),
        ("boolean", "true"),
        ("array", "[1]"),
        ("array", {"a": 1}),
        ("object", [1]),
        ("object", "{}"),
    ],
)
def test_a_typed_wire_refuses_values_of_another_type(type_name, given):
    with pytest.raises(ValueError, match=r"must be an? "):
        convert(type_name, given)


@pytest.mark.parametrize(
    ("type_name", "given", "bound"),
    [
        ("string", "[1]", "[1]"),
        ("string", "7", "7"),
        ("string", 7, "7"),
        ("integer", "7", 7),
        ("integer", " 7 ", 7),
        ("integer", "7.0", 7),
        ("integer", 7, 7),
        ("number", "1.5", 1.5),
        ("number", "-1e3", -1000.0),
        ("boolean", "true", True),
        ("boolean", False, False),
        ("array", "[1, null]", [1, None]),
        ("object", '{"a": {"b": []}}', {"a": {"b": []}}),
    ],
)
def test_a_text_wire_s_strings_are_read_as_json(type_name, given, bound):
    assert convert(type_name, given, text=True) == bound


@pytest.mark.parametrize(
    ("type_name", "given"),
    [
        ("string", ["x"]),
        ("string", None),
        ("integer", "seven"),
        ("integer", ""),
        ("integer", "7.5"),
        ("integer", "true"),
        ("integer", "1e999"),
        ("integer", "9" * 5000),
        ("number", "NaN"),
        ("number", "Infinity"),
        ("number", '"7"'),
        ("boolean", "True"),
        ("boolean", "yes"),
        ("boolean", "1"),
        ("array", "{}"),
        ("array", "[1"),
        ("array", [1]),
        ("array", DEEP),
        ("array", '["\\u0000"]'),
        ("object", '{"a":1,"a":2}'),
        ("object", '{"\\ud800":1}'),
        ("object", "null"),
        ("object", {"a": 1}),
    ],
)
def test_a_text_wire_refuses_what_is_not_of_the_type(type_name, given):
    with pytest.raises(ValueError, match=r"must (be|not hold) "):
        convert(type_name, given, text=True)


@given(
    st.sampled_from(sorted(TYPES)),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    st.booleans(),
)
def test_a_value_is_of_its_type_or_refused(type_name, found, text):
    try:
        converted = convert(type_name, found, text=text)
    except ValueError:
        return

    assert isinstance(converted, TYPES[type_name])


def test_an_absent_optional_input_gets_its_default_else_null():
    bound, faults = bind(plan(Input("a", default="x"), Input("b")), [])

    assert (bound, faults) == ({"a": "x", "b": None}, [])


def test_null_on_a_typed_wire_is_an_absent_input():
    assert bind(plan(Input("a", "integer", default=3)), [("a", None)]) == ({"a": 3}, [])


def test_a_required_input_with_a_default_may_be_left_out():
    assert bind(plan(Input("a", required=True, default="x")), [])[1] == []


def test_every_fault_is_told_with_its_place_and_kind():
    declared = plan(Input("film", required=True), Input("count", "integer"), Input("note"))

    _, faults = bind(declared, [("count", "x"), ("book", "y"), ("note", "1"), ("note", "2")])

    assert {(fault.field, fault.code) for fault in faults} == {
        ("inputs.film", "missing"),
        ("inputs.book", "unknown"),
        ("inputs.note", "duplicate"),
        ("inputs.count", "invalid"),
    }


def test_an_unknown_input_is_not_bound():
    assert bind(plan(Input("a")), [("b", "x")])[0] == {"a": None}


def test_an_unknown_input_given_twice_is_told_once_as_unknown_and_once_as_given_twice():
    _, faults = bind(plan(), [("b", "x"), ("b", "y")])

    assert [fault.code for fault in faults] == ["unknown", "duplicate"]


@pytest.mark.parametrize("value", ["", 0, False, [], {}])
def test_an_empty_value_is_a_value(value):
    type_name = {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}[type(value)]

    assert bind(plan(Input("a", type_name, required=True)), [("a", value)]) == ({"a": value}, [])


def test_a_hundred_thousand_strangers_are_told_in_no_time():
    started = time.process_time()

    bind(plan(), [(f"name-{number}", "x") for number in range(100_000)])

    assert time.process_time() - started < 2
