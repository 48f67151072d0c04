"""Answers that come in pieces: told as they come, whole in the end, and void where they break off."""

import json
import time
from dataclasses import replace

import pytest
import redis

from shared import broker, events
from shared.errors import LayerFailed, Stopped
from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import saying, serving
from worker import deltas
from worker.alarms import Alarms
from worker.deltas import Deltas, Telling

#: What a promised time may be exceeded by.
TOLERANCE_SECONDS = 0.75
STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.fixture
def told(servers, settings, run):
    """The events of the run's execution, as everybody can read them."""
    connected = replace(settings, redis_url=servers["REDIS_URL"])
    broker.connect(connected)

    def told(kind=None, *, whole=True):
        if whole:
            # Whatever is waiting leaves with the end of a courier.
            broker.connect(connected)
        with redis.Redis.from_url(connected.redis_url) as client:
            return [each for each in events.after(client, run.claim.uuid) if kind in (None, each.kind)]

    yield told
    broker.close()


@pytest.fixture
def stream(ask, told):
    """Ask for a stream."""
    return lambda name="demo", **question: ask(name, stream=True, **question)


def chunk(content=None, finish=None, **rest):
    """One event of a stream."""
    delta = {} if content is None else {"content": content}
    body = {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **rest}
    return f"data: {json.dumps(body)}\n\n".encode()


def put_together(found):
    """The text that a reader has who does as the documentation says."""
    text = ""
    for each in found:
        if each.kind == "delta_reset":
            text = ""
        elif each.kind == "delta":
            assert each.fields["offset"] == len(text)
            text += each.fields["text"]
    return text


def test_the_deltas_make_the_answer_that_would_have_come_whole(ask, stream, told):
    streamed, whole = stream("demo:pace=5"), ask("demo:pace=5")

    found = told("delta")
    assert put_together(found) == streamed.output == whole.output
    assert (streamed.usage, streamed.details) == (whole.usage, whole.details)
    assert len(found) > 3
    assert {(each.fields["path"], each.fields["attempt"], each.fields["call"]) for each in found} == {("a/0", 1, 1)}


@pytest.mark.parametrize(
    ("name", "reason", "calls"),
    [
        ("demo:mode=cut_stream", "provider_unreachable", 2),
        ("demo:mode=no_finish", "provider_unreachable", 2),
        ("demo:mode=error_chunk", "provider_error", 2),
        ("demo:mode=garbage_chunk", "provider_garbage", 2),
        ("demo:mode=truncated", "provider_unreachable", 2),
        ("demo:mode=reset", "provider_unreachable", 2),
        ("demo:mode=html", "provider_garbage", 2),
        ("demo:mode=endless", "provider_garbage", 1),
        ("demo:mode=endless_stream,pace=0", "provider_garbage", 1),
        ("demo:mode=null_content", "provider_empty", 2),
        ("demo:mode=refusal", "provider_refused", 1),
        ("demo:mode=content_filter", "provider_refused", 1),
        ("demo:mode=length", "output_truncated", 1),
        ("demo:status=400", "provider_bad_request", 1),
        ("demo:status=429", "provider_rate_limited", 2),
        ("demo:code=insufficient_quota", "provider_quota", 1),
    ],
)
def test_a_stream_fails_as_a_whole_answer_would_and_leaves_no_text(
    stream, told, model, make_client, name, reason, calls
):
    with pytest.raises(LayerFailed) as caught:
        stream(name, client=make_client(max_answer_bytes=20_000))

    assert (caught.value.reason, len(model.calls())) == (reason, calls)
    assert put_together(told()) == ""


@pytest.mark.parametrize("name", ["demo:mode=silent", "demo:mode=drip", "demo:pace=200", "demo:mode=endless_stream"])
def test_a_stream_is_given_up_at_the_deadline_and_closed(stream, model, name):
    started = time.monotonic()

    with pytest.raises(LayerFailed) as caught:
        stream(name, seconds=0.5, attempts=1)

    assert time.monotonic() - started < 0.5 + TOLERANCE_SECONDS
    assert caught.value.reason == "provider_timeout"
    assert [call.uncertain for call in caught.value.calls] == [True]
    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)


def test_a_stream_is_cut_within_a_second_of_a_cancel(stream, told, run, model):
    model.script([{"answer": "word " * 1000, "pace_ms": 10}])
    alarms = Alarms()
    alarms.after(0.3, lambda: run.stop("cancelled"))
    started = time.monotonic()

    with pytest.raises(Stopped):
        stream()

    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)
    assert time.monotonic() - started < 0.3 + 1.0
    assert model.calls()[0]["cut"]
    assert [each.kind for each in told()][-1] == "delta_reset"


def test_a_reader_starts_over_where_a_broken_stream_is_asked_for_again(stream, told, model):
    model.script([{"mode": "cut_stream", "times": 1}, {"pace_ms": 1}])

    answer = stream()

    found = told()
    kinds = [each.kind for each in found]
    assert put_together(found) == answer.output
    assert kinds.count("delta_reset") == 1
    assert [each.fields["call"] for each in found if each.kind == "delta"] == sorted(
        1 + (index > kinds.index("delta_reset")) for index, kind in enumerate(kinds) if kind == "delta"
    )
    assert [(call.outcome, call.uncertain) for call in answer.calls] == [
        ("provider_unreachable", True),
        ("answered", False),
    ]


def test_an_answer_without_usage_is_booked_without_one(stream):
    answer = stream("demo:mode=no_usage")

    assert [(call.outcome, call.usage, call.uncertain) for call in answer.calls] == [("answered", None, False)]


def test_the_halves_of_a_character_are_put_together(stream, told, make_client):
    said = [chunk("a\ud83d"), chunk("\ude00b"), chunk(finish="stop"), b"data: [DONE]\n\n"]

    with serving(saying(f"{STREAM}\r\n".encode() + b"".join(said))) as url:
        answer = stream("m", client=make_client(openai_base_url=url))

    assert answer.output == put_together(told()) == "a😀b"


def test_an_answer_that_comes_whole_though_a_stream_was_asked_for_is_taken(stream, make_client):
    with serving(saying(raw_server.answer())) as url:
        assert stream("m", client=make_client(openai_base_url=url)).output == "hello"


def test_a_connection_serves_one_stream_after_the_other(stream, make_client):
    connections = []
    said = chunk("hello") + chunk(finish="stop") + b"data: [DONE]\n\n"
    whole = f"{STREAM}Content-Length: {len(said)}\r\n\r\n".encode() + said

    def speak(connection):
        connections.append(connection)
        saying(whole, whole, whole)(connection)

    with serving(speak) as url:
        client = make_client(openai_base_url=url)
        assert [stream("m", client=client).output for _ in range(3)] == ["hello"] * 3

    assert len(connections) == 1


def test_the_first_delta_leaves_at_once_and_the_rest_of_them_in_company(stream, told, model):
    model.script([{"answer": "word " * 400, "pace_ms": 1}])

    stream()

    found = told("delta")
    assert found[0].fields["text"] == "word"
    assert 3 < len(found) < 100


def test_a_long_answer_does_not_push_out_the_events_before_it(run, told):
    telling, alarms = Telling(run.claim.uuid, 1), Alarms()
    pauses = []
    for _ in range(20):
        each = Deltas(telling, "a/0", alarms)
        for _ in range(40):
            pauses.append(telling.pause_seconds)
            telling.tell("a/0", 0, "word")
        each.end()

    assert pauses[0] == deltas.PAUSE_SECONDS
    assert sum(pauses) > 80
    assert sum(pauses[:600]) > 8


def test_more_of_an_answer_than_redis_shall_hold_is_not_told(run, told, monkeypatch):
    monkeypatch.setattr(deltas, "MOST_CHARACTERS", 10)
    each = Deltas(run.telling, "a/0", Alarms())

    for _ in range(5):
        each.add("1234")
    each.end()

    assert put_together(told()) == "1234123412"


def test_what_is_held_back_is_told_after_the_pause(run, told):
    each = Deltas(run.telling, "a/0", Alarms())
    each.add("one ")
    each.add("two")

    until = time.monotonic() + 5
    while put_together(told(whole=False)) != "one two":
        assert time.monotonic() < until
