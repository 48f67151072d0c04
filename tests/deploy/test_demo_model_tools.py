"""Calls of functions by the demo model, as the real client comes to see them."""

import json

import pytest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
LONDON = {"role": "user", "content": "How is the weather in London?"}


def ask(client, *messages, model="demo:tools=weather", **wanted):
    return client.chat.completions.create(model=model, messages=messages or (LONDON,), tools=[TOOL], **wanted)


def test_a_function_is_called_with_what_its_schema_wants(client):
    choice = ask(client).choices[0]

    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content, call.function.name) == ("tool_calls", None, "weather")
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_what_came_of_a_call_is_answered_with_words(client):
    (call,) = ask(client).choices[0].message.tool_calls
    asked = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}

    choice = ask(client, LONDON, asked, {"role": "tool", "tool_call_id": call.id, "content": "Rain."}).choices[0]

    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert choice.message.content


@pytest.mark.parametrize("wanted", [{"tool_choice": "none"}, {"model": "demo:tools=traffic"}])
def test_only_what_is_offered_is_called(client, wanted):
    assert ask(client, **wanted).choices[0].message.tool_calls is None


def test_calls_can_be_scripted_and_come_in_pieces(demo_model, client):
    arguments = {"city": "the capital of the United Kingdom"}
    demo_model.script([{"tool_calls": [{"name": "weather", "arguments": arguments}], "answer": "Let me look."}])

    deltas = [chunk.choices[0].delta for chunk in ask(client, stream=True) if chunk.choices]

    pieces = [call.function.arguments for each in deltas for call in each.tool_calls or ()]
    assert (len(pieces) > 2, json.loads("".join(pieces))) == (True, arguments)
    assert "".join(each.content or "" for each in deltas) == "Let me look."


def test_what_was_read_in_the_web_is_cited(client):
    message = ask(client, model="demo", web_search_options={}).choices[0].message

    assert message.annotations[0].url_citation.url.startswith("https://www.example.com/")


def test_tokens_of_a_cache_and_of_reasoning_are_counted_where_that_is_asked_for(client):
    usage = ask(client, model="demo:cached=3,reasoning=2").usage

    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details.reasoning_tokens == 2
