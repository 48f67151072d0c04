import pytest

from shared.errors import LayerFailed
from tests.shared.layers.scripted import runner

write = runner("text")


@pytest.mark.parametrize(
    ("settings", "previous", "output"),
    [
        ({"value": "<{{previous}}>"}, "x", "<x>"),
        ({}, {"a": 1}, '{"a":1}'),
        ({}, None, ""),
        ({"operation": "join"}, ["a", 1, None, {"b": 2}], 'a\n1\n\n{"b":2}'),
        ({"operation": "join", "separator": ", "}, [], ""),
        ({"operation": "split"}, "a\n\n b \n", ["a", " b "]),
        ({"operation": "split", "separator": ","}, "a,,b", ["a", "b"]),
        ({"operation": "split"}, "", []),
        ({"operation": "replace", "find": "a", "replacement": "{{b}}"}, "banana", "b{{a}}n{{a}}n{{a}}"),
        ({"operation": "replace", "find": "."}, "a.b", "ab"),
        ({"operation": "case", "case": "upper"}, "straße", "STRASSE"),
        ({"operation": "case", "case": "lower"}, "ABC", "abc"),
        ({"operation": "case", "case": "title"}, "a tale", "A Tale"),
        ({"operation": "case", "case": "capitalize"}, "a TALE", "A tale"),
    ],
)
def test_a_text_is_made_of_the_previous_output(settings, previous, output):
    assert write(settings, {"previous": previous, "b": "{{a}}", "a": "never"}).output == output


@pytest.mark.parametrize("found", ["text", {"a": 1}, None, 7])
def test_only_a_list_can_be_joined(found):
    with pytest.raises(LayerFailed) as caught:
        write({"operation": "join"}, {"previous": found})

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize(
    "settings",
    [
        {"operation": "replace", "find": "a", "replacement": "{{previous}}"},
        {"value": "{{previous}}" * 5000},
    ],
)
def test_a_text_that_grows_without_bound_is_refused(settings):
    with pytest.raises(LayerFailed, match="more than") as caught:
        write(settings, {"previous": "a" * 10_000})

    assert caught.value.reason == "value_invalid"
