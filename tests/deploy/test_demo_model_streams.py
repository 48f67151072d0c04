"""Answers that come in pieces: at a pace, and broken off, as the real client comes to see them."""

import json
import time

import openai
import pytest

HAMLET = [{"role": "user", "content": "Write a short review of Hamlet."}]


def ask(client, model="demo", **wanted):
    return client.chat.completions.create(
        model=model, messages=HAMLET, stream=True, stream_options={"include_usage": True}, **wanted
    )


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_pieces_come_at_the_pace_that_was_asked_for(demo_model, client):
    demo_model.script([{"answer": "one two three four", "pace_ms": 100}])
    started = time.monotonic()

    arrivals = [time.monotonic() - started for chunk in ask(client) if chunk.choices and chunk.choices[0].delta.content]

    assert len(arrivals) == 4
    assert arrivals[-1] - arrivals[0] >= 0.29


def test_a_paced_stream_is_booked_with_its_usage(demo_model, client):
    whole = client.chat.completions.create(model="demo", messages=HAMLET)

    chunks = list(ask(client, "demo:pace=1"))

    demo_model.wait_for(lambda totals: totals["answered"] == 2)
    assert text(chunks) == whole.choices[0].message.content
    assert demo_model.calls()[-1]["usage"]["total_tokens"] == chunks[-1].usage.total_tokens == whole.usage.total_tokens


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("cut_stream", openai.APIConnectionError),
        ("garbage_chunk", json.JSONDecodeError),
        ("error_chunk", openai.APIError),
    ],
)
def test_a_stream_breaks_in_the_middle_of_the_answer(demo_model, client, mode, error):
    seen = []

    with pytest.raises(error):
        seen.extend(ask(client, f"demo:mode={mode}"))

    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)
    assert text(seen)
    assert demo_model.calls()[-1]["usage"] is None


def test_a_stream_may_end_without_a_finish(client):
    chunks = list(ask(client, "demo:mode=no_finish"))

    assert text(chunks)
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_may_have_no_usage(client, stream):
    answer = client.chat.completions.create(model="demo:mode=no_usage", messages=HAMLET, stream=stream)

    assert not any(getattr(chunk, "usage", None) for chunk in (answer if stream else [answer]))


def test_an_endless_stream_ends_when_its_client_leaves(demo_model, client):
    with ask(client, "demo:mode=endless_stream") as stream:
        assert len([next(stream) for _ in range(200)]) == 200

    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)
    assert demo_model.calls()[-1]["cut"]
