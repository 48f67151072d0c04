import pytest
from marshmallow import ValidationError

from shared.errors import LayerFailed
from shared.plan import SKIPPED
from tests.shared.layers.scripted import Tools, runner

loop = runner("loop")
LAYERS = [{"kind": "text"}]


def grows(values):
    return values["previous"] + "x"


def turn(until, inner=grows, previous="", **settings):
    tools = Tools(inner=inner)
    return loop({"layers": LAYERS, "until": until, **settings}, {"previous": previous, "goal": "xxx"}, tools), tools


def test_rounds_work_on_what_the_one_before_gave_until_the_condition_holds():
    answer, tools = turn("length(previous) == `3`")

    assert (answer.output, answer.details) == ("xxx", {"rounds": 3})
    assert tools.runs == [
        ("[1]", {"round": 1, "previous": ""}),
        ("[2]", {"round": 2, "previous": "x"}),
        ("[3]", {"round": 3, "previous": "xx"}),
    ]


@pytest.mark.parametrize("until", ["round == `3`", "previous == goal", "length(previous) > `2` && round"])
def test_the_condition_sees_the_round_and_what_is_outside(until):
    assert turn(until)[0].output == "xxx"


def test_the_first_round_is_always_run():
    assert turn("goal")[0].output == "x"


def test_a_loop_that_is_exhausted_fails():
    with pytest.raises(LayerFailed) as caught:
        turn("`false`", max_rounds=4)

    assert caught.value.reason == "loop_exhausted"


def test_a_loop_that_is_exhausted_keeps_the_last_round_where_it_shall():
    answer, _ = turn("`false`", max_rounds=4, if_exhausted="keep")

    assert (answer.output, answer.details["rounds"]) == ("xxxx", 4)
    assert "none of 4 rounds" in answer.details["warning"]


def test_a_round_that_was_skipped_gives_null():
    assert turn("previous == `null`", lambda values: SKIPPED)[0].output is None


def test_a_round_that_fails_fails_the_loop():
    def fails(values):
        raise LayerFailed("provider_auth", "no")

    with pytest.raises(LayerFailed) as caught:
        turn("previous", fails)

    assert caught.value.reason == "provider_auth"


def test_a_condition_on_a_value_of_another_type_fails_the_layer():
    with pytest.raises(LayerFailed) as caught:
        turn("length(round) > `1`")

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize(
    "settings",
    [
        {"until": "a ="},
        {"until": "@"},
        {"max_rounds": 0},
        {"max_rounds": 101},
        {"if_exhausted": "warn"},
        {"layers": []},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        loop({"layers": LAYERS, "until": "previous", **settings})
