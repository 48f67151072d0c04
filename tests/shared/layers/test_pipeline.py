import pytest
from marshmallow import ValidationError

from shared.plan import Answer
from tests.shared.layers.scripted import Tools, runner

pipeline = runner("pipeline")


@pytest.mark.parametrize(("version", "named"), [({}, "latest"), ({"version": 3}, "3"), ({"version": "prod"}, "prod")])
def test_the_version_that_is_named_is_run(version, named):
    tools = Tools(Answer({"a": 1}))

    answer = pipeline({"handle": "reviews", **version}, {}, tools)

    assert answer.output == {"a": 1}
    assert tools.pipelines == [("reviews", named, {})]


def test_a_whole_reference_hands_over_the_value_and_a_text_is_rendered():
    inputs = {"film": "{{film}}", "title": "<{{film.title}}>", "count": 3, "deep": {"tags": ["{{tags}}", None]}}
    tools = Tools(Answer(None))

    pipeline({"handle": "reviews", "inputs": inputs}, {"film": {"title": "Avatar"}, "tags": ["a"]}, tools)

    assert tools.pipelines[0][2] == {
        "film": {"title": "Avatar"},
        "title": "<Avatar>",
        "count": 3,
        "deep": {"tags": [["a"], None]},
    }


@pytest.mark.parametrize(
    "settings",
    [{}, {"handle": "No"}, {"handle": "a\n"}, {"version": ""}, {"version": True}, {"version": 1.5}, {"inputs": []}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        pipeline({"handle": "reviews", **settings} if settings else {})
