import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import strict_json
from shared.strict_json import clean, depth, dumps, loads, unstorable

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)
anything = st.recursive(
    st.none() | st.text(st.characters(categories=["L", "Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(categories=["Cs", "L"])), inner),
    max_leaves=10,
)


@given(documents)
def test_what_is_written_is_read_the_same(document):
    assert loads(dumps(document)) == document


@given(documents)
def test_it_reads_what_python_writes(document):
    assert loads(json.dumps(document, indent=2)) == document


@given(anything)
def test_what_is_written_can_always_be_stored(document):
    assert not any(True for _ in unstorable(loads(dumps(document))))
    dumps(document).encode()


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[NaN]",
        "Infinity",
        "-Infinity",
        '{"a": -Infinity}',
        "1e999",
        "-1e999",
        "[1E+400]",
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        '[{"b":{"a":1,"a":1}}]',
        "",
        " ",
        "[",
        "]",
        "[1,]",
        "[,1]",
        '{"a":1,}',
        '{"a"}',
        "{'a':1}",
        "{a:1}",
        "[1 2]",
        "1 2",
        "[] []",
        "01",
        "+1",
        "1.",
        ".5",
        "0x10",
        "1_000",
        "True",
        "nul",
        '"a',
        '"\t"',
        '"\n"',
        '"\x00"',
        '"\\x41"',
        '"\\u12"',
        '"\\',
        "// a\n1",
        "[1]/**/",
        "\x0c1",
        "\u00a01",
        "\ufeff1",
        "9" * 5_000,
        "é",
    ],
    ids=lambda text: ascii(text[:16]),
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("null", None),
        (" \t\r\n1 ", 1),
        ("-0", 0),
        ("1e5", 100000.0),
        ("1e-999", 0.0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u0000"', "\x00"),
        ('"\\ud800"', "\ud800"),
        ('"[[[["', "[[[["),
        ('{"":{"":[]}}', {"": {"": []}}),
        ('["\\"]", 1]', ['"]', 1]),
    ],
)
def test_odd_json_is_json(text, found):
    assert loads(text) == found


def nested(levels, opening="[", closing="]"):
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("levels", [33, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_too_deep_is_refused(levels, opening, closing):
    with pytest.raises(ValueError, match="deeper than 32"):
        loads(nested(levels, opening, closing), max_depth=32)


def test_what_is_nested_just_so_deep_is_read():
    assert depth(json.dumps(loads(nested(32), max_depth=32))) == 32


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + '"', '["' + "[" * 100_000])
def test_what_never_closes_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        loads(text)


@pytest.mark.parametrize(
    ("text", "levels"),
    [("1", 1), ("[]", 1), ("[[]]", 2), ('["[[["]', 1), ('["\\"[[["]', 1), ("[[],[]]", 2), ('{"a":[{}]}', 3)],
)
def test_depth_counts_brackets_outside_of_strings(text, levels):
    assert depth(text) == levels


@pytest.mark.parametrize("text", ['[["' + '\\"' * 500_000, '[["' + "\\" * 1_000_000, '["",' + '"",' * 300_000 + "["])
def test_a_hostile_megabyte_is_refused_in_no_time(text):
    started = time.process_time()

    with pytest.raises(ValueError, match=r"."):
        loads(text)

    assert time.process_time() - started < 2


def test_a_hundred_thousand_keys_given_twice_are_refused_in_no_time():
    text = "{" + ",".join(f'"k{number % 50_000}":1' for number in range(100_000)) + "}"
    started = time.process_time()

    with pytest.raises(ValueError, match="given twice"):
        loads(text)

    assert time.process_time() - started < 2


def test_a_fault_says_where():
    with pytest.raises(ValueError, match="line 2 column 3"):
        loads("[\n  x]")


def test_a_key_given_twice_is_named():
    with pytest.raises(ValueError, match="given twice: a, b"):
        loads('{"b":1,"a":1,"c":1,"a":2,"b":2}')


def test_the_places_of_what_cannot_be_stored_are_told():
    found = {"ok": "x", "a": ["x", "\x00", {"b": "\ud800"}], "\x00k": {"c": "\udfff"}}

    assert list(unstorable(found)) == ["a[1]", "a[2].b", "\ufffdk", "\ufffdk.c"]


@pytest.mark.parametrize(
    ("found", "cleaned"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("😀", "😀"),
        ({"\x00": ["\udfff"]}, {"\ufffd": ["\ufffd"]}),
        (None, None),
        (7, 7),
    ],
)
def test_clean_replaces_what_cannot_be_stored(found, cleaned):
    assert clean(found) == cleaned


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_know_is_never_written(number):
    with pytest.raises(ValueError, match="JSON"):
        strict_json.dumps({"a": number})
