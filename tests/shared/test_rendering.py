import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import rendering
from shared.rendering import as_text, references, render, strays, value


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("Hi {{name}}", {"name": "Ada"}, "Hi Ada"),
        ("{{ n }}!", {"n": 7}, "7!"),
        ("no names", {}, "no names"),
        ("{{a}}{{b}}{{a}}", {"a": "x", "b": "y"}, "xyx"),
        ("{{film.title}}", {"film": {"title": "Avatar"}}, "Avatar"),
        ("{{films[1].title}}", {"films": [{}, {"title": "Avatar"}]}, "Avatar"),
        ("{{a[0][1]}}", {"a": [[1, 2]]}, "2"),
        ("{{a.b-c}}", {"a": {"b-c": 1}}, "1"),
        ("{{a}}", {"a": None}, ""),
        ("{{a}}", {"a": True}, "true"),
        ("{{a}}", {"a": 1.5}, "1.5"),
        ("{{a}}", {"a": {"b": [1, None, "é"]}}, '{"b":[1,null,"é"]}'),
        ("{{a}}", {"a": []}, "[]"),
        ("{{a}}", {"a": 'say "hi"'}, 'say "hi"'),
    ],
)
def test_render_fills_references(text, values, rendered):
    assert render(text, values) == rendered


@pytest.mark.parametrize(
    "path", [".c", "[0]", ".b.c.d", "[99]", "[999999999]", ".b[0]", ".items", ".__class__", ".keys"]
)
def test_a_path_that_leads_nowhere_renders_empty(path):
    assert render("{{a" + path + "}}", {"a": {"b": {"c": 1}}}) == ""


@pytest.mark.parametrize("found", ["text", 7, None, True])
@pytest.mark.parametrize("path", [".a", "[0]"])
def test_a_path_into_a_scalar_leads_nowhere(found, path):
    assert render("{{a" + path + "}}", {"a": found}) == ""


@pytest.mark.parametrize("typed", ["{{b}}", "${SECRET}", "{{", "}}", "\\g<0>", "\\1", "{{a}}"])
def test_a_value_is_never_scanned_again(typed):
    assert render("<{{a}}>", {"a": typed, "b": "secret"}, {"SECRET": "secret"}) == f"<{typed}>"


def test_values_side_by_side_never_become_a_reference():
    assert render("{{a}}{{b}}", {"a": "{{", "b": "b}}"}) == "{{b}}"


@given(st.text(), st.text())
def test_whatever_is_typed_comes_out_as_it_is(before, typed):
    before = before.replace("{", "").replace("$", "")

    assert render(before + "{{a}}", {"a": typed}) == before + typed


def test_a_variable_is_filled_where_variables_are_given():
    assert render("key=${API_KEY}", {}, {"API_KEY": "k"}) == "key=k"


def test_a_reference_without_a_value_is_a_fault_of_ours():
    with pytest.raises(KeyError):
        render("{{a}}", {}, {})


def test_a_variable_without_a_value_is_named():
    with pytest.raises(rendering.Unset, match="the variable API_KEY has no value"):
        render("key=${API_KEY}", {}, {"OTHER": "x"})


@pytest.mark.parametrize(
    "text",
    ["{{}}", "{{ }}", "{a}", "{{a b}}", "{{a|upper}}", "{{1a}}", "{{a.}}", "{{a[-1]}}", "{{a[x]}}", "{{a()}}", "{{é}}"],
)
def test_what_is_no_reference_stays_as_it_is(text):
    assert render(text, {"a": "x"}) == text


@pytest.mark.parametrize("text", ["{{a b}}", "{{}}", "{{a|upper}}", "{{a['b']}}"])
def test_what_looks_like_a_reference_and_is_none_is_a_stray(text):
    assert strays(f"x {text} y") == [text]


@pytest.mark.parametrize("text", ["{{a}}", "{{ a.b[0] }}", "{a}", "${A}", "{{", "}}"])
def test_what_is_a_reference_or_nothing_like_one_is_no_stray(text):
    assert strays(text) == []


@pytest.mark.parametrize("text", ["{{{a}}}", "{{{{a}}}}"])
def test_braces_around_a_reference_stay(text):
    assert render(text, {"a": "x"}) == text.replace("{{a}}", "x")


@pytest.mark.parametrize("text", ["$A", "${a}", "$ {A}", "${}", "${A.b}", "${1A}"])
def test_what_is_no_variable_stays_as_it_is(text):
    assert render(text, {}) == text


def test_references_are_told_once_in_the_order_of_the_text():
    assert references("{{b.x}} ${B} {{a}} {{b}} ${A} ${B}") == (("b", "a"), ("B", "A"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{a}}", [1, 2]),
        ("  {{ a[0] }}\n", 1),
        ("{{a[5]}}", None),
        ("{{a}}!", "[1,2]!"),
        ("{{a}}{{a}}", "[1,2][1,2]"),
        ("text", "text"),
    ],
)
def test_a_text_that_is_one_reference_gives_the_value_itself(text, found):
    assert value(text, {"a": [1, 2]}) == found


def test_a_text_that_is_one_variable_gives_its_text():
    assert value("${A}", {}, {"A": "x"}) == "x"


@pytest.mark.parametrize(("found", "text"), [("é", "é"), (None, ""), (1, "1"), ({"é": 1}, '{"é":1}'), (False, "false")])
def test_as_text_writes_compact_json(found, text):
    assert as_text(found) == text


def test_a_megabyte_of_braces_is_read_in_no_time():
    text = "{{" * 250_000 + "a" * 500_000

    assert (render(text, {}), references(text).names, rendering.strays(text)) == (text, (), [])
