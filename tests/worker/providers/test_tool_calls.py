"""Calls of tools and what comes with them on the wire: read whole and in pieces, and sent back as they were."""

import json

import pytest

from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import answer, serving
from worker.providers import chat, tool_calls
from worker.providers.faults import ProviderFault

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def called(name="look", arguments="{}", **rest):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **rest}


def read(message, **rest):
    return chat.read({"choices": [{"message": message, "finish_reason": "tool_calls"}], **rest})


def test_an_answer_of_calls_alone_is_an_answer():
    reply = read({"content": None, "tool_calls": [called(arguments='{"a":1}')]})

    assert (reply.text, reply.tool_calls) == ("", (("c1", "look", '{"a":1}'),))


@pytest.mark.parametrize(
    "found",
    [{"a": 1}, [1], [{}], [called(name="")], [called(name=7)], [called(arguments={"a": 1})], [called()] * 300],
)
def test_calls_that_make_no_sense_are_garbage(found):
    with pytest.raises(ProviderFault) as caught:
        read({"content": None, "tool_calls": found})

    assert caught.value.reason == "provider_garbage"


def test_a_call_without_an_id_gets_one():
    assert [each.id for each in tool_calls.read([called(id=None), called(id="")])] == ["call_0", "call_1"]


def test_pieces_of_calls_make_whole_calls():
    pieces = tool_calls.Pieces()

    for index, arguments in ((0, '{"a'), (1, "{"), (0, '":1}'), (1, "}")):
        pieces.add([{"index": index, "id": f"c{index}", "function": {"name": f"f{index}", "arguments": arguments}}])

    assert tool_calls.read(pieces.whole()) == (("c0", "f0", '{"a":1}'), ("c1", "f1", "{}"))


def test_what_a_provider_tells_of_tokens_and_sources_is_told_on():
    usage = {"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": None}}
    source = {"type": "url_citation", "url_citation": {"title": "A", "url": "https://a"}}

    reply = read({"content": "x", "annotations": [source, source, 1]}, usage=usage)

    assert reply.told == {"tokens": {"cached": 5}, "citations": [{"title": "A", "url": "https://a"}]}


def test_tools_and_their_results_are_sent(ask, make_client):
    sent = []
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [called()]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]

    def speak(connection):
        sent.append(json.loads(raw_server.read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(answer())

    with serving(speak) as url:
        ask("m", client=make_client(openai_base_url=url), messages=messages, tools=(TOOL,), tool_choice="none")

    assert sent == [{"model": "m", "messages": messages, "tools": [TOOL], "tool_choice": "none"}]


@pytest.mark.parametrize(
    ("domains", "options"), [((), {}), (("a.example",), {"filters": {"allowed_domains": ["a.example"]}})]
)
def test_a_search_in_the_web_is_asked_for(ask, make_client, domains, options):
    sent = []

    def speak(connection):
        sent.append(json.loads(raw_server.read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(answer())

    with serving(speak) as url:
        providers = json.dumps({"default": {"web_search": True}})
        ask("m", client=make_client(openai_base_url=url, providers=providers), domains=domains)

    assert sent[0]["web_search_options"] == options
