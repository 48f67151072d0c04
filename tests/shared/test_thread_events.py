"""What is told on a thread: in order, once, by live attempts only, and never less than everything without a word."""

import threading
import time
from uuid import uuid4

import pytest
import redis

from shared import broker, events, hints, thread_events
from shared.thread_events import Place
from tests.waiting import until

WAIT_SECONDS = 5.0


@pytest.fixture
def server(database, settings):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def place():
    return Place(1, uuid4(), uuid4())


@pytest.fixture
def told(server, place):
    """The events in the log of the thread, once there are so many; the courier has nothing left then."""

    def told(count):
        until(lambda: len(log(server, place)) >= count)
        return log(server, place)

    return told


def log(server, place):
    found = events.entries(server, thread_events.log(place.organization_id, place.thread))
    return [each.kind for each in found]


def say(place, *words, attempt=1, run=None, first=0):
    """Tell a segment of these words, numbered as a worker numbers them."""
    run = run or place.execution
    for number, word in enumerate((None, *words)):
        behind = f"0:{number - 1}" if number else ""
        if number >= first:
            kind, more = ("token", {"text": word}) if number else ("reset", {})
            thread_events.tell(
                place, attempt, kind, run, "default", behind=behind, at=f"0:{number}", segment=0, seq=number, **more
            )


def check(place, behind, text=None):
    thread_events.check(place, 1, place.execution, "default", behind=behind, text=text)


def test_an_answer_is_told_from_its_reset_to_its_end(place, told, server):
    say(place, "Once", " upon")
    check(place, "0:2")
    thread_events.ended(place, "succeeded", None, None)

    assert told(4) == ["reset", "token", "token", "done"]
    found = events.entries(server, thread_events.log(1, place.thread))
    mine = {"runId": str(place.execution), "channel": "default", "execution": str(place.execution)}
    assert found[1].fields == {**mine, "segment": 0, "seq": 1, "text": "Once"}
    assert found[3].fields == mine


def test_a_failure_says_why_and_ends_every_run_that_was_still_open(place, told, server):
    inner = uuid4()
    say(place, "Once", run=inner)

    thread_events.ended(place, "failed", "deadline", 'the "deadline" is over')

    assert told(4) == ["reset", "token", "failure", "failure"]
    first, second = events.entries(server, thread_events.log(1, place.thread))[2:]
    assert (first.fields["runId"], second.fields["runId"]) == (str(inner), str(place.execution))
    assert (second.fields["code"], second.fields["message"]) == ("deadline", 'the "deadline" is over')


def test_an_end_is_told_on_the_channel_of_what_was_said(place, told, server):
    thread_events.tell(place, 1, "reset", place.execution, "notes", at="0:0", segment=0, seq=0)
    thread_events.ended(place, "cancelled", "cancelled", None)

    assert told(2) == ["reset", "failure"]
    assert events.entries(server, thread_events.log(1, place.thread))[1].fields["channel"] == "notes"


def test_an_end_is_told_once_and_nothing_comes_after_it(place, told):
    thread_events.ended(place, "failed", "deadline", None)
    thread_events.ended(place, "failed", "deadline", None)
    say(place, "too late")
    other = Place(place.organization_id, place.thread, uuid4())
    say(other)

    assert told(2) == ["failure", "reset"]


def test_an_attempt_that_is_over_tells_nothing_more(place, told):
    say(place, "Once", attempt=1)
    say(place, "Twice", attempt=2)
    say(place, "Once", " upon", attempt=1, first=2)
    say(place, "Twice", " a", attempt=2, first=2)

    assert told(5) == ["reset", "token", "reset", "token", "token"]


def test_a_word_that_is_missing_is_told_as_lost(place, told):
    say(place, "Once", " upon", " a", first=2)
    check(place, "0:4")
    thread_events.ended(place, "succeeded", None, None)

    assert told(5) == ["stale", "token", "token", "stale", "done"]


def test_an_answer_of_which_something_is_missing_is_told_anew_before_its_end(place, told, server):
    say(place, "Once", " upon", first=2)
    check(place, "0:2", text="Once upon")
    thread_events.ended(place, "succeeded", None, None)

    assert told(5) == ["stale", "token", "reset", "token", "done"]
    found = events.entries(server, thread_events.log(1, place.thread))
    assert (found[3].fields["seq"], found[3].fields["text"]) == (1, "Once upon")


def test_an_answer_that_began_anew_is_whole_again(place, told):
    say(place, "Once", " upon", first=2)
    say(place, "Twice")
    check(place, "0:1", text="Twice")
    thread_events.ended(place, "succeeded", None, None)

    assert told(5) == ["stale", "token", "reset", "token", "done"]


def test_an_answer_that_nobody_has_checked_is_told_as_lost(place, told):
    say(place, "Once")
    thread_events.ended(place, "succeeded", None, None)

    assert told(4) == ["reset", "token", "stale", "done"]


def test_what_never_reached_redis_is_told_as_lost_and_the_end_after_all(place, server, settings, monkeypatch, told):
    monkeypatch.setattr(hints, "BREAK_SECONDS", 0.01)
    broker.connect(settings.__class__(redis_url="redis://127.0.0.1:1"))
    say(place, "Once")
    thread_events.ended(place, "failed", "deadline", None)
    until(lambda: any(thread_events._shed.values()))

    broker.connect(settings)
    thread_events.recover()

    assert told(2) == ["stale", "failure"]


def test_a_log_is_bounded_and_forgotten_in_time(place, server, told, monkeypatch):
    monkeypatch.setattr(thread_events, "LENGTH", 100)
    say(place, *["word"] * 500)
    check(place, "0:500")
    thread_events.ended(place, "succeeded", None, None)
    until(lambda: told(100)[-1] == "done")

    key = thread_events.log(1, place.thread)
    assert 100 <= server.xlen(key) < 300
    assert 0 < server.ttl(key) <= thread_events.LOG_SECONDS
    assert 0 < server.ttl(f"strata:told:{place.execution}") <= thread_events.LOG_SECONDS


def test_a_log_of_large_events_is_bounded_by_its_size(place, server, told):
    key = thread_events.log(1, place.thread)
    say(place)
    told(1)
    begun = thread_events.begins(server, key)

    for number in range(1, 13):
        say(place, *["x" * 1_000_000] * number, first=number)
        until(lambda least=number * 1_000_000: int(server.get(f"{key}:size") or 0) >= least)

    assert 3 <= server.xlen(key) <= 9
    assert (begun, thread_events.begins(server, key)) == (True, False)


def test_threads_of_two_organizations_with_one_uuid_are_two_logs(place, told, server):
    other = Place(2, place.thread, uuid4())
    say(place, "Mine")
    say(other, "Theirs")

    assert (told(2), log(server, other)) == (["reset", "token"], ["reset", "token"])


def test_telling_without_redis_holds_nobody_up(place, settings, database):
    broker.connect(settings.__class__(redis_url="redis://127.0.0.1:1"))
    started = time.monotonic()

    tellers = [threading.Thread(target=say, args=(place, *["word"] * 100)) for _ in range(4)]
    for each in tellers:
        each.start()
    for each in tellers:
        each.join()

    assert time.monotonic() - started < 1.0
