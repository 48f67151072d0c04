import pytest
from marshmallow import ValidationError

from shared.errors import LayerFailed
from tests.shared.layers.scripted import runner

check = runner("assert")
SCORED = {"previous": {"score": 4}, "least": 5, "film": "Avatar"}


def test_what_holds_hands_the_value_before_through():
    assert check({"condition": "previous.score < least"}, SCORED).output == {"score": 4}


def test_another_value_can_be_handed_through():
    answer = check({"condition": "film", "value": "{{film}}"}, SCORED)

    assert (answer.output, answer.details) == ("Avatar", {})


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_what_is_empty_does_not_hold(nothing):
    with pytest.raises(LayerFailed) as caught:
        check({"condition": "previous"}, {"previous": nothing})

    assert (caught.value.reason, str(caught.value)) == ("condition_failed", "the condition does not hold")


@pytest.mark.parametrize("something", [0, True, "x", [None], {"a": None}])
def test_what_is_not_empty_holds(something):
    assert check({"condition": "previous"}, {"previous": something}).output == something


def test_the_message_of_a_failure_has_its_references_filled():
    with pytest.raises(LayerFailed, match=r"^4 is too little for Avatar$"):
        check(
            {"condition": "previous.score >= least", "message": "{{previous.score}} is too little for {{film}}"}, SCORED
        )


def test_a_warning_passes_the_value_on():
    answer = check({"condition": "`false`", "message": "odd", "on_failure": "warn"}, SCORED)

    assert (answer.output, answer.details) == ({"score": 4}, {"warning": "odd"})


def test_a_condition_on_a_value_of_another_type_fails_the_layer():
    with pytest.raises(LayerFailed) as caught:
        check({"condition": "length(least) > `1`"}, SCORED)

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize("settings", [{}, {"condition": "a ="}, {"condition": "a", "on_failure": "ignore"}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        check(settings)
