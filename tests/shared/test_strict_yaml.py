import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import strict_json
from shared.strict_yaml import loads

texts = st.text(st.characters(min_codepoint=32, max_codepoint=126))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1", {"a": 1}),
        ("a: yes", {"a": "yes"}),
        ("a: no", {"a": "no"}),
        ("a: on", {"a": "on"}),
        ("a: y", {"a": "y"}),
        ("a: true", {"a": True}),
        ("a: False", {"a": False}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: null", {"a": None}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 2024-01-01T12:00:00Z", {"a": "2024-01-01T12:00:00Z"}),
        ("a: 12:30", {"a": "12:30"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 0o17", {"a": "0o17"}),
        ("a: 017", {"a": "017"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: .5", {"a": ".5"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: .nan", {"a": ".nan"}),
        ("a: -3", {"a": -3}),
        ("a: '1'", {"a": "1"}),
        ("yes: 1", {"yes": 1}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("[1, two, {three: 3}]", [1, "two", {"three": 3}]),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: =", {"a": "="}),
        ("", None),
    ],
)
def test_yaml_means_what_the_same_json_would(text, found):
    assert loads(text) == found


@given(documents)
def test_json_is_read_as_json(document):
    assert loads(strict_json.dumps(document)) == document


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x", "aliases are not read, line 2"),
        ("a: &a [*a]", "aliases"),
        ("a: 1\na: 2", "a is given twice"),
        ("{a: 1, 'a': 2}", "given twice"),
        ("x:\n  - {b: 1, b: 1}", "given twice"),
        ("1: a", "the key 1 is no text"),
        ("true: a", "the key True is no text"),
        ("~: a", "the key None is no text"),
        ("1.5: a", "the key 1.5 is no text"),
        ("? [a]\n: 1", "."),
        ("? {a: 1}\n: 1", "."),
        ("a: !!python/object/apply:os.system [ls]", "."),
        ("a: !thing x", "."),
        ("a: !!set {x}", "."),
        ("a: !!binary aGk=", "."),
        ("a: !!timestamp 2024-01-01", "."),
        ("a: !!float .nan", "."),
        ("a: !!float .inf", "."),
        ("a: 1e999", "."),
        ("a: b: c", "line 1"),
        ("a: [1", "line"),
        ("a: 1\n---\nb: 2", "."),
        ("\t- a", "."),
        ("a: \x00", "."),
        ("%YAML 9.9\n---\na", "."),
    ],
)
def test_what_json_cannot_say_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        loads(text)


@pytest.mark.parametrize("text", ["[" * 33 + "]" * 33, "[" * 100_000, "{a: " * 1_000, "- " * 1_000 + "a"])
def test_what_is_nested_too_deep_is_refused(text):
    with pytest.raises(ValueError, match="deeper than 32"):
        loads(text, max_depth=32)


def test_half_a_surrogate_pair_is_replaced():
    assert loads('a: "\\ud800"') == {"a": "\ufffd"}


def test_many_keys_are_read_without_comparing_each_with_all():
    text = "\n".join(f"key-{number}: 1" for number in range(8_000))
    started = time.process_time()

    loads(text)

    assert time.process_time() - started < 5
