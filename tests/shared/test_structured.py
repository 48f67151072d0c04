import time

import pytest

from shared.structured import Unreadable, read, response_format

ANY_LIST = {"type": "list"}
SCORE = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
CLOSED = {**SCORE, "additionalProperties": False}


def schema(found, **rest):
    return {"type": "json_schema", "schema": found, **rest}


@pytest.mark.parametrize(
    ("output", "sent"),
    [
        ({"type": "text"}, None),
        ({"type": "json"}, {"type": "json_object"}),
    ],
)
def test_text_and_json_are_asked_for_by_their_type(output, sent):
    assert response_format(output) == sent


@pytest.mark.parametrize(
    ("found", "strict"),
    [
        (CLOSED, True),
        (SCORE, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"score": SCORE}}, False),
        ({**CLOSED, "properties": {"score": CLOSED}}, True),
        ({**CLOSED, "properties": {"score": {"anyOf": [CLOSED, SCORE]}}}, False),
    ],
)
def test_a_schema_is_sent_strict_where_all_of_it_is_closed_and_required(found, strict):
    assert response_format(schema(found))["json_schema"] == {"name": "answer", "schema": found, "strict": strict}


def test_a_schema_s_name_is_sent():
    assert response_format(schema(SCORE, name="score"))["json_schema"]["name"] == "score"


def test_a_root_that_is_no_object_is_wrapped_in_one():
    found = {"type": "array", "items": {"$ref": "#/$defs/score"}, "$defs": {"score": CLOSED}}

    sent = response_format(schema(found))["json_schema"]

    assert sent["schema"] == {
        "type": "object",
        "properties": {"value": {"type": "array", "items": {"$ref": "#/$defs/score"}}},
        "required": ["value"],
        "additionalProperties": False,
        "$defs": {"score": CLOSED},
    }
    assert sent["strict"] is True


def test_a_list_is_asked_for_as_a_wrapped_array_of_texts():
    sent = response_format(ANY_LIST)["json_schema"]["schema"]

    assert sent["properties"] == {"value": {"type": "array", "items": {"type": "string"}}}


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        ({"type": "text"}, '```json\n{"a": 1}\n```', '```json\n{"a": 1}\n```'),
        ({"type": "json"}, '{"a": 1}', {"a": 1}),
        ({"type": "json"}, '```json\n{"a": 1}\n```', {"a": 1}),
        ({"type": "json"}, ' ```\n{"a": 1}```\n', {"a": 1}),
        ({"type": "json"}, "```JSON\n\n[1]\n\n```", [1]),
        ({"type": "json"}, '"```"', "```"),
        ({"type": "json"}, "null", None),
        (schema(SCORE), '{"score": 7}', {"score": 7}),
        (schema({"type": "integer"}), '{"value": 7}', 7),
        (schema({"type": "integer"}), "7", 7),
        (schema({"anyOf": [SCORE, {"type": "null"}]}), '{"value": {"score": 1}}', {"score": 1}),
        (schema({"type": "object"}), '{"value": 7}', {"value": 7}),
        (ANY_LIST, '{"value": ["a", "b"]}', ["a", "b"]),
        (ANY_LIST, '["a"]', ["a"]),
        (ANY_LIST, "[]", []),
        (ANY_LIST, "- a\n* b\n• c\n1. d\n2) e\n\n  - f  ", ["a", "b", "c", "d", "e", "f"]),
        (ANY_LIST, "one\ntwo", ["one", "two"]),
        (ANY_LIST, "-5 degrees\n3.5 stars", ["-5 degrees", "3.5 stars"]),
    ],
)
def test_an_answer_is_read_as_its_type(output, text, value):
    assert read(output, text) == value


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"type": "json"}, ""),
        ({"type": "json"}, "Here you are: {}"),
        ({"type": "json"}, '{"a": NaN}'),
        ({"type": "json"}, '{"a": 1, "a": 2}'),
        ({"type": "json"}, "[" * 100_000),
        ({"type": "json"}, "```json\n{}"),
        (schema(SCORE), '{"score": "7"}'),
        (schema(SCORE), '{"score": 7.5}'),
        (schema(SCORE), "{}"),
        (schema(SCORE), "[]"),
        (schema({"type": "integer"}), '{"value": "7"}'),
        (schema({"type": "integer"}), '{"value": 7, "note": 1}'),
        (schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), "1"),
        (ANY_LIST, "[1, 2]"),
        (ANY_LIST, '{"items": ["a"]}'),
        (ANY_LIST, '"a"'),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_unreadable(output, text):
    with pytest.raises(Unreadable):
        read(output, text)


def test_the_place_of_a_violation_is_told():
    with pytest.raises(Unreadable, match=r"\$\.score"):
        read(schema(SCORE), '{"score": "seven"}')


def test_a_schema_elsewhere_is_never_fetched(model):
    model.reset()
    found = {"properties": {"a": {"$ref": model.base_url + "/models"}}}

    with pytest.raises(Unreadable):
        read(schema(found), '{"a": 1}')

    assert model.totals()["count"] == 0


@pytest.mark.parametrize(
    "text", ["```" + "\n" * 200_000, "```json\n" * 50_000, " " * 1_000_000, "\n" * 500_000 + "```"]
)
def test_an_answer_of_fences_and_blanks_is_refused_in_no_time(text):
    started = time.process_time()

    with pytest.raises(Unreadable):
        read({"type": "json"}, text)

    assert time.process_time() - started < 2
