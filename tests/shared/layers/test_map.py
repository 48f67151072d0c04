import pytest
from marshmallow import ValidationError

from shared.errors import LayerFailed
from shared.plan import SKIPPED
from tests.shared.layers.scripted import Tools, runner

run_map = runner("map")
LAYERS = [{"kind": "text"}]


def over(items, inner, **settings):
    return run_map({"items": "{{films}}", "layers": LAYERS, **settings}, {"films": items}, Tools(inner=inner))


def fails_on(bad):
    def inner(values):
        if values["item"] == bad:
            raise LayerFailed("condition_failed", f"{bad} is bad")
        return values["item"] * 10

    return inner


def test_outputs_come_in_the_order_of_the_items():
    assert over([3, 1, 2], lambda values: values["item"] * 10).output == [30, 10, 20]


def test_layers_see_the_item_its_index_and_the_item_as_previous():
    tools = Tools()

    run_map({"items": "{{films.all}}", "as": "film", "layers": LAYERS}, {"films": {"all": ["a", "b"]}}, tools)

    assert tools.runs == [
        ("[0]", {"film": "a", "index": 0, "previous": "a"}),
        ("[1]", {"film": "b", "index": 1, "previous": "b"}),
    ]


def test_an_empty_list_gives_an_empty_list():
    assert over([], lambda values: 1).output == []


def test_an_item_that_was_skipped_gives_null():
    assert over([1, 2], lambda values: SKIPPED if values["item"] == 1 else "x").output == [None, "x"]


@pytest.mark.parametrize(("on_error", "output"), [("null", [10, None, 30]), (None, [10, None, 30]), ("drop", [10, 30])])
def test_an_item_that_fails_leaves_what_on_error_says_and_a_warning(on_error, output):
    answer = over([1, 2, 3], fails_on(2), on_error=on_error)

    assert answer.output == output
    assert answer.details == {"warning": "1 of 3 items failed, the first of them [1]: 2 is bad"}


@pytest.mark.parametrize("on_error", ["null", "drop"])
def test_no_policy_makes_up_for_a_budget_that_is_spent(on_error):
    def work(values):
        raise LayerFailed("budget_exceeded", "spent")

    with pytest.raises(LayerFailed) as caught:
        over([1], work, on_error=on_error)

    assert caught.value.reason == "budget_exceeded"


def test_a_null_that_an_item_gives_is_not_dropped():
    assert over([1, 2], lambda values: None, on_error="drop").output == [None, None]


def test_an_item_that_fails_fails_the_layer_with_its_reason():
    with pytest.raises(LayerFailed, match="2 is bad") as caught:
        over([1, 2, 3], fails_on(2))

    assert caught.value.reason == "condition_failed"


@pytest.mark.parametrize("items", ["text", {"a": 1}, None, 7])
def test_what_is_no_list_fails_the_layer(items):
    with pytest.raises(LayerFailed) as caught:
        over(items, lambda values: 1)

    assert caught.value.reason == "value_invalid"


def test_a_longer_list_than_allowed_fails_the_layer_before_anything_runs():
    ran = []

    with pytest.raises(LayerFailed, match="a list of 3 items, and 2 are allowed"):
        over([1, 2, 3], ran.append, max_items=2)

    assert ran == []


@pytest.mark.parametrize(
    "settings",
    [
        {"items": "{{a}}, {{b}}"},
        {"items": "a"},
        {"items": "${A}"},
        {"concurrency": 0},
        {"concurrency": 101},
        {"max_items": 10_001},
        {"on_error": "ignore"},
        {"as": "index"},
        {"as": "previous"},
        {"as": "a b"},
        {"layers": []},
        {"layers": [{"kind": "unknown"}]},
        {"surplus": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        run_map({"items": "{{films}}", "layers": LAYERS, **settings}, {"films": []})
