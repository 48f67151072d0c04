import json
import time

import pytest

from shared import json_schema
from shared.json_schema import Unfit

TEXT = {"type": "string", "minLength": 1}


@pytest.mark.parametrize("found", [TEXT, {}, {"$ref": "#/$defs/a", "$defs": {"a": {}}}])
def test_a_schema_that_is_whole_is_good(found):
    json_schema.check(found)


@pytest.mark.parametrize(
    "found",
    [
        {"$ref": "#"},
        {"type": "thing"},
        {"properties": 7},
        {"required": "a"},
        {"minimum": "1"},
        {"pattern": "("},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "#/$defs/missing"},
        {"type": "object", "properties": {"a": {"$ref": "https://json.schemastore.org/package"}}},
        {"type": "object", "properties": {"a": {"items": {"$ref": "file:///etc/passwd"}}}},
        {"type": "array", "items": {"$ref": "#/$defs/missing"}},
    ],
    ids=json.dumps,
)
def test_a_schema_that_is_none_or_not_whole_is_refused(found):
    with pytest.raises(Unfit):
        json_schema.check(found)


@pytest.mark.parametrize(
    "found",
    [{"pattern": r"(?=a)b"}, {"pattern": r"(a)\1"}, {"properties": {"a": {"patternProperties": {"^a": {}}}}}],
    ids=json.dumps,
)
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(found):
    with pytest.raises(Unfit):
        json_schema.check(found)


def test_a_pattern_that_backtracks_elsewhere_is_matched_in_no_time():
    started = time.process_time()

    with pytest.raises(Unfit, match="does not match"):
        json_schema.validate({"pattern": "^(a+)+$"}, "a" * 10_000 + "b")

    assert time.process_time() - started < 1


@pytest.mark.parametrize(("value", "fits"), [("ab1", True), ("b1", True), ("1", False), (7, True)])
def test_a_pattern_is_searched_in_texts(value, fits):
    schema = {"pattern": "[a-z][0-9]"}

    assert _fits(schema, value) is fits


def test_a_schema_that_doubles_at_each_level_is_refused_in_no_time():
    levels = {f"l{number}": {"anyOf": [{"$ref": f"#/$defs/l{number + 1}"}] * 2} for number in range(40)}
    started = time.process_time()

    with pytest.raises(Unfit, match="too many steps"):
        json_schema.check({"$ref": "#/$defs/l0", "$defs": {**levels, "l40": {"type": "string"}}})

    assert time.process_time() - started < 5


def test_a_long_list_of_choices_is_within_the_budget():
    schema = {"type": "array", "items": {"anyOf": [{"const": number} for number in range(10)]}}

    json_schema.validate(schema, [number % 10 for number in range(1000)])


def _fits(schema, value):
    try:
        json_schema.validate(schema, value)
    except Unfit:
        return False
    return True
