from dataclasses import replace

import pytest
from marshmallow import ValidationError

from shared.errors import LayerFailed, Parked
from shared.plan import Answer, Call, Usage
from tests.shared.layers.scripted import Tools, runner

prompt = runner("prompt")
CALL = Call("default/m", "answered", usage=Usage(1, 2, 3))


def asked(settings, values=None, answer="{}"):
    """The one question that a layer asks."""
    tools = Tools(Answer(answer))
    prompt(settings, values, tools)
    (question,) = tools.questions
    return question


def test_the_prompt_is_the_user_s_message_and_follows_the_system_s():
    question = asked({"prompt": "Review {{film}}", "system": "You are {{who}}"}, {"film": "Avatar", "who": "a critic"})

    assert question.messages == [
        {"role": "system", "content": "You are a critic"},
        {"role": "user", "content": "Review Avatar"},
    ]


def test_a_conversation_is_sent_in_its_order():
    messages = [{"role": "user", "content": "{{a}}"}, {"role": "assistant", "content": "b"}]

    question = asked({"messages": messages, "system": "s"}, {"a": "x"})

    assert [(each["role"], each["content"]) for each in question.messages] == [
        ("system", "s"),
        ("user", "x"),
        ("assistant", "b"),
    ]


def test_a_typed_reference_stays_text():
    assert asked({"prompt": "{{a}}"}, {"a": "{{b}} ${KEY}", "b": "secret"}).messages[0]["content"] == "{{b}} ${KEY}"


def test_settings_are_handed_on():
    settings = {"prompt": "x", "model": "m", "temperature": 0, "max_tokens": 5, "retry": {"attempts": 2}}

    question = asked(settings)

    assert (question.model, question.temperature, question.max_tokens, question.attempts) == ("m", 0, 5, 2)


def test_how_an_answer_is_to_come_is_handed_on():
    streamed, made = asked({"prompt": "x", "stream": True}), asked({"prompt": "x", "background": True})

    assert [(each.stream, each.background) for each in (streamed, made)] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"stream": True, "background": True}, "stream"),
        ({"stream": "yes"}, "stream"),
        ({"cache": {}}, "cache"),
        ({"cache": {"seconds": 0}}, "cache"),
        ({"cache": 60}, "cache"),
    ],
)
def test_how_an_answer_cannot_come_is_refused(settings, place):
    with pytest.raises(ValidationError) as caught:
        prompt({"prompt": "x", **settings})

    assert list(caught.value.normalized_messages()) == [place]


def test_an_answer_is_kept_once_it_has_proved_good():
    wanted = {"prompt": "x", "output": "json", "cache": {"seconds": 60}, "retry": {"attempts": 1}}
    good, bad = Tools(answer := Answer("{}")), Tools(Answer("Sorry!", (CALL,), details={"model": "default/m"}))

    prompt(wanted, {}, good)
    with pytest.raises(LayerFailed):
        prompt(wanted, {}, bad)

    assert (good.kept, bad.kept) == ([(good.questions[0], answer)], [])
    assert good.questions[0].cache_seconds == 60


def test_what_is_not_set_is_left_to_the_provider():
    question = asked({"prompt": "x"})

    assert (question.model, question.temperature, question.max_tokens, question.response_format) == (None,) * 4


@pytest.mark.parametrize(
    ("text", "added"), [("List the films", True), ("Answer as JSON, please", False), ("json", False)]
)
def test_json_is_spoken_of_where_json_is_asked_for(text, added):
    question = asked({"prompt": text, "output": "json"})

    assert (question.messages[0] == {"role": "system", "content": "Answer with JSON."}) is added


def test_an_answer_keeps_its_usage_id_and_calls():
    answer = Answer('{"a": 1}', (CALL,), "chatcmpl-1", {"model": "default/m"})

    said = {"user": "x", "assistant": '{"a": 1}'}
    assert prompt({"prompt": "x", "output": "json"}, {}, Tools(answer)) == replace(answer, output={"a": 1}, said=said)


def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong():
    tools = Tools(bad := Answer("Sorry!", (CALL,), details={"model": "default/m"}), replace(bad, output='{"a": 1}'))

    answer = prompt({"prompt": "x", "output": "json", "fallback": ["n"], "cache": {"seconds": 60}}, {}, tools)

    assert (answer.output, [call.kept for call in answer.calls]) == ({"a": 1}, [False, True])
    again = tools.questions[1]
    assert again.messages[-2] == {"role": "assistant", "content": "Sorry!"}
    assert "the answer is not JSON" in again.messages[-1]["content"]
    assert (again.model, again.fallback, again.attempts, again.cache_seconds) == ("default/m", (), 3, None)


def test_an_answer_that_does_not_fit_the_second_time_fails_the_layer_with_its_text_and_what_it_cost():
    tools = Tools(Answer("Sorry!", (CALL,)), Answer("Sorry again!", (CALL,)))

    with pytest.raises(LayerFailed) as caught:
        prompt({"prompt": "x", "output": "json"}, {}, tools)

    assert (caught.value.reason, caught.value.calls) == ("output_invalid", (replace(CALL, kept=False), CALL))
    assert str(caught.value).endswith("\nSorry again!")


def test_who_may_ask_once_does_not_ask_again():
    tools = Tools(Answer("Sorry!", (CALL,), details={"model": CALL.model}))

    with pytest.raises(LayerFailed) as caught:
        prompt({"prompt": "x", "output": "json", "retry": {"attempts": 1}}, {}, tools)

    assert (caught.value.reason, caught.value.calls, len(tools.questions)) == ("output_invalid", (CALL,), 1)


@pytest.mark.parametrize("failure", [LayerFailed("provider_error", "500"), Parked(7.0)])
def test_an_answer_that_did_not_fit_is_paid_for_where_the_second_question_has_none(failure):
    tools = Tools(Answer("Sorry!", (CALL,)), failure)

    with pytest.raises(type(failure)) as caught:
        prompt({"prompt": "x", "output": "json"}, {}, tools)

    assert caught.value.calls == (replace(CALL, kept=False),)
