import pytest

from shared.errors import LayerFailed
from tests.shared.layers.scripted import runner

extract = runner("extract")


@pytest.mark.parametrize(
    ("expression", "previous", "output"),
    [
        ("title", {"title": "Avatar"}, "Avatar"),
        ("[0]", ["a", "b"], "a"),
        ("missing", {"a": 1}, None),
        ("sort_by(@, &score)[*].score", [{"score": 2}, {"score": 1}], [1, 2]),
        ("{a: b}", {"b": 1}, {"a": 1}),
        ("length(@)", "text", 4),
        ("@", None, None),
        ("a.b", "text", None),
    ],
)
def test_the_expression_is_applied_to_the_previous_output(expression, previous, output):
    assert extract({"expression": expression}, {"previous": previous}).output == output


def test_the_expression_is_applied_to_the_value_that_is_named():
    assert extract({"expression": "[1]", "value": "{{films.all}}"}, {"films": {"all": ["a", "b"]}}).output == "b"


@pytest.mark.parametrize(
    ("expression", "previous"),
    [
        ("length(@)", 7),
        ("sum(@)", ["a"]),
        ("sort_by(@, &a)", [{"a": 1}, {"a": "x"}]),
        ("[::0]", [1]),
        ("to_number(@)", "nan"),
        ("to_number(@)", "-Infinity"),
        ("[to_number(@)]", "1e999"),
        ("sum(@)", [1e308, 1e308]),
        ("&a", {}),
        ("[&a]", {}),
    ],
)
def test_what_gives_no_json_fails_the_layer(expression, previous):
    with pytest.raises(LayerFailed) as caught:
        extract({"expression": expression}, {"previous": previous})

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize("expression", ["unknown(@)", "length(@, @)"])
def test_what_fits_no_value_at_all_is_a_fault_of_the_definition(expression):
    with pytest.raises(LayerFailed) as caught:
        extract({"expression": expression}, {"previous": {}})

    assert caught.value.reason == "config"


@pytest.mark.parametrize(
    ("step", "last", "previous"),
    [
        ("[@, @]", "@", [1]),
        ("[@, @]", "to_string(@)", [1]),
        ("[@, @][]", "length(@)", [1]),
        ("join('', [@, @])", "length(@)", "text"),
    ],
)
def test_what_an_expression_makes_of_a_value_is_bounded(step, last, previous):
    with pytest.raises(LayerFailed, match="it makes a") as caught:
        extract({"expression": " | ".join([step] * 40 + [last])}, {"previous": previous})

    assert caught.value.reason == "value_invalid"
