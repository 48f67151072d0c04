import pytest

from shared.errors import LayerFailed
from shared.plan import Answer, Usage
from tests.shared.layers.scripted import Tools, runner

prompt = runner("prompt")


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
    answer = Answer('{"a": 1}', Usage(1, 2, 3), "chatcmpl-1", 2)

    assert prompt({"prompt": "x", "output": "json"}, {}, Tools(answer)) == Answer(
        {"a": 1}, Usage(1, 2, 3), "chatcmpl-1", 2
    )


def test_an_answer_that_cannot_be_read_fails_the_layer_with_its_text_and_what_it_cost():
    answer = Answer("Sorry!", Usage(1, 2, 3), "chatcmpl-1", 2)

    with pytest.raises(LayerFailed) as caught:
        prompt({"prompt": "x", "output": "json"}, {}, Tools(answer))

    assert (caught.value.reason, caught.value.usage, caught.value.calls) == ("output_invalid", Usage(1, 2, 3), 2)
    assert str(caught.value).endswith("\nSorry!")
