"""Streams of threads: who may follow, from where, what is told, and what where something is lost."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis

from api import streams
from api.streams import Stream
from api.watchers import Watchers
from shared import broker, stream_tokens, thread_events
from shared.stream_tokens import Grant
from shared.thread_events import Place
from tests import factories
from tests.api.test_events import kinds, parsed
from tests.factories import prompt_layer, source

SAID = source(prompt_layer(), output="answer")


@pytest.fixture
def thread():
    return uuid4()


@pytest.fixture
def place(organization, thread):
    return Place(organization, thread, uuid4())


@pytest.fixture
def server(settings):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def token(client, thread):
    return client.post(f"/v2/threads/{thread}/stream-token").json["token"]


@pytest.fixture
def connect(anonymous, thread, token):
    """Begin to follow the thread; reading goes on to the first event that comes."""
    opened = []

    def connect(last=None, query="", headers=None):
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last} if last else {}) | (headers or {})
        answer = anonymous.get(f"/stream/{thread}{query}", headers=headers, buffered=False)
        opened.append(answer)
        frames = iter(answer.response)
        assert next(frames) == b"retry: 1000\n\n"
        return frames

    yield connect
    for each in opened:
        each.close()


@pytest.fixture
def follow(place, settings, monkeypatch):
    """Follow the thread over a Redis of one's own choice, with a grant of one's own."""
    monkeypatch.setattr(streams, "READY_SECONDS", 0.2)
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.1)
    started = []

    def follow(last=None, seconds=300.0, url=settings.redis_url):
        started.append(Watchers(url))
        started[-1].start()
        grant = Grant(place.organization_id, place.thread, datetime.now(UTC) + timedelta(seconds=seconds))
        frames = Stream(started[-1], grant, last).frames(lambda: False)
        assert next(frames) == b"retry: 1000\n\n"
        return frames, started[-1]

    yield follow
    for each in started:
        each.close()


def read(frames, count):
    """The next events; a comment means that what was waited for did not come."""
    found = []
    for frame in frames:
        assert frame != b":\n\n", "nothing came"
        found += parsed(frame.decode())
        if len(found) >= count:
            break
    return found


def say(place, *words, first=0, segment=0, channel="default"):
    """Tell words as a worker does, from the reset on."""
    for number, word in enumerate((None, *words)):
        if number >= first:
            kind, more = ("token", {"text": word}) if number else ("reset", {})
            thread_events.tell(
                place, 1, kind, place.execution, channel, at=f"{segment}:{number}", segment=segment, seq=number, **more
            )


def finish(place):
    thread_events.check(place, 1, place.execution, "default")
    thread_events.ended(place, "succeeded", None, None)


def test_a_token_is_made_for_a_thread_that_is_not_there_yet(client, organization, settings, thread):
    answer = client.post(f"/v2/threads/{thread}/stream-token")

    assert answer.status_code == 200
    assert answer.json["url"] == f"http://localhost/stream/{thread}"
    grant = stream_tokens.read(settings.secret_keys, answer.json["token"])
    assert (grant.organization_id, grant.thread) == (organization, thread)
    assert abs((datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)).total_seconds() - 300) < 5


def test_what_is_said_is_told_in_the_words_of_the_contract(connect, place):
    frames = connect()

    say(place, "Once ✎")
    finish(place)

    run = {"runId": str(place.execution), "channel": "default"}
    assert [each["data"] for each in read(frames, 3)] == [
        {"kind": "reset", **run, "segment": 0, "seq": 0},
        {"kind": "token", **run, "segment": 0, "seq": 1, "text": "Once ✎"},
        {"kind": "done", **run},
    ]


def test_who_comes_anew_is_told_what_happens_from_then_on(connect, place, server, until):
    say(place, "Once", " upon")
    until(lambda: server.xlen(thread_events.log(place.organization_id, place.thread)) == 3)

    frames = connect()
    say(place, "Once", " upon", " a", first=3)

    assert [each["data"]["text"] for each in read(frames, 1)] == [" a"]


def test_who_comes_back_goes_on_exactly_where_it_was(connect, place):
    whole = connect()
    say(place, "Once", " upon", " a", " time")
    finish(place)
    told = read(whole, 6)

    for number, event in enumerate(told[:-1]):
        assert read(connect(event["id"]), len(told) - number - 1) == told[number + 1 :]


@pytest.mark.parametrize("last", ["1795251600950-0", "1-0", "nonsense", "ended"])
def test_who_had_what_is_gone_is_told_so_and_then_all_that_is_left(connect, place, server, until, last):
    say(place, "Once")
    until(lambda: server.xlen(thread_events.log(place.organization_id, place.thread)) == 2)

    told = read(connect(last), 3)

    assert kinds(told) == ["stale", "reset", "token"]
    assert (told[0]["id"], told[0]["data"]) == ("0-0", {"kind": "stale"})


def test_channels_narrow_what_is_told(connect, place):
    frames = connect(query="?channel=support&channel=sales")
    say(place, "No", channel="default")
    say(place, "Yes", channel="support")
    say(place, "Too", channel="sales", first=1)

    assert [each["data"]["channel"] for each in read(frames, 3)] == ["support", "support", "sales"]


def test_another_organization_s_thread_of_that_uuid_is_another(connect, place):
    frames = connect()
    say(replace(place, organization_id=place.organization_id + 1), "Theirs")
    say(place, "Mine")

    assert [each["data"].get("text") for each in read(frames, 2)] == [None, "Mine"]


def test_only_a_good_token_of_that_thread_lets_in(anonymous, organization, settings, make_key, thread):
    good, _ = stream_tokens.mint(settings.secret_keys, organization, thread, seconds=60)
    other, _ = stream_tokens.mint(settings.secret_keys, organization, uuid4(), seconds=60)
    late, _ = stream_tokens.mint(settings.secret_keys, organization, thread, seconds=-1)
    refused = ["", "Bearer", f"Basic {good}", f"Bearer {other}", f"Bearer {late}", f"Bearer {make_key(organization)}"]

    for each in refused:
        answer = anonymous.get(f"/stream/{thread}", headers={"Authorization": each})
        assert (answer.status_code, list(answer.json)) == (401, ["error"]), each
    assert anonymous.get(f"/stream/{thread}?token={good}").status_code == 401


def test_more_streams_than_an_organization_may_have_are_refused(connect, anonymous, app, thread, token, monkeypatch):
    monkeypatch.setattr(app.extensions["strata"].open_streams, "_limit", 2)
    frames = [connect(), connect()]

    refused = anonymous.get(f"/stream/{thread}", headers={"Authorization": f"Bearer {token}"})
    frames[0].close()

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    assert connect()


@pytest.mark.parametrize(("allowed", "origin", "answered"), [
    (("https://a.example",), "https://a.example", "https://a.example"),
    (("*",), "https://b.example", "https://b.example"),
    (("https://a.example",), "https://b.example", None),
    ((), "https://a.example", None),
])  # fmt: skip
def test_pages_of_named_origins_may_read(anonymous, app, thread, monkeypatch, allowed, origin, answered):
    context = app.extensions["strata"]
    monkeypatch.setitem(
        app.extensions, "strata", replace(context, settings=replace(context.settings, cors_origins=allowed))
    )

    refused = anonymous.get(f"/stream/{thread}", headers={"Origin": origin})
    asked = anonymous.options(f"/stream/{thread}", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})

    assert (refused.status_code, asked.status_code) == (401, 204)
    assert refused.headers.get("Access-Control-Allow-Origin") == answered
    assert asked.headers.get("Access-Control-Allow-Origin") == answered
    assert asked.headers.get("Access-Control-Allow-Headers") == (answered and "Authorization, Last-Event-ID")


def test_a_stream_ends_with_its_token_and_says_where_to_go_on(follow, place, monkeypatch):
    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.0)
    frames, _ = follow(seconds=0.5)
    say(place, "Once")

    told = read(frames, 3)

    assert kinds(told) == ["reset", "token", "reconnect"]
    assert (told[2]["id"], told[2]["data"]) == (told[1]["id"], {})
    assert next(frames, None) is None


def test_everybody_is_handed_over_when_the_process_ends(follow):
    frames, watchers = follow()

    watchers.let_go()

    assert kinds(read(frames, 1)) == ["reconnect"]
    assert next(frames, None) is None


def test_who_goes_on_from_the_beginning_of_an_empty_log_misses_nothing(follow, place):
    frames, _ = follow("0-0")
    say(place, "Once")

    assert kinds(read(frames, 2)) == ["reset", "token"]


def test_a_subscription_that_was_lost_loses_no_word(follow, place, server):
    frames, _ = follow()
    say(place, "Once")
    read(frames, 2)

    server.client_kill_filter(_type="pubsub")
    say(place, "Once", " upon", first=2)

    assert [each["data"]["text"] for each in read(frames, 1)] == [" upon"]


def test_a_log_that_was_emptied_is_told_as_stale(follow, place, server):
    frames, _ = follow()
    say(place, "Once")
    read(frames, 2)

    server.flushall()
    server.client_kill_filter(_type="pubsub")
    say(place, "Once", " upon", first=2)

    told = read(frames, 2)
    assert kinds(told) == ["stale", "token"]


def test_who_comes_while_redis_answers_nobody_is_told_what_is_said_once_it_does(place, follow, server, until):
    server.client_pause(1000, all=True)
    frames, _ = follow()
    until(lambda: broker.courier().send("SET", "back", 1) or server.get("back"))

    say(place, "Once")

    assert kinds(read(frames, 2)) == ["reset", "token"]


def test_an_end_that_was_never_told_is_told_from_the_rows(publish, organization, follow, thread, monkeypatch):
    monkeypatch.setattr(streams, "ROWS_SECONDS", 0.1)
    publish(SAID)
    claim = factories.running(organization, thread=thread)
    frames, _ = follow()
    place = claim.place
    say(replace(place, organization_id=organization), "Once")
    read(frames, 2)
    factories.change(
        "UPDATE executions SET status = 'failed', reason = 'deadline', worker = NULL,"
        " ended_at = now() - interval '5 seconds', expires_at = now() + interval '1 hour'"
    )

    told = read(frames, 2)

    assert kinds(told) == ["stale", "failure"]
    assert told[1]["data"] == {
        "kind": "failure", "runId": str(claim.uuid), "channel": "default", "code": "deadline", "message": "deadline"
    }  # fmt: skip


def test_silence_is_filled_with_comments(follow, monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.3)
    frames, _ = follow()

    assert list(itertools.islice(frames, 2)) == [b":\n\n", b":\n\n"]


def test_what_was_said_goes_with_its_thread(publish, organization, client, worker, thread, server, until):
    publish(SAID)
    factories.accept(organization, thread=thread)
    worker.work()
    key = thread_events.log(organization, thread)
    until(lambda: server.xlen(key) == 3)

    assert client.delete(f"/v2/threads/{thread}").status_code == 204

    until(lambda: not server.exists(key, f"{key}:size"))


def test_one_process_subscribes_to_a_thread_once(connect, place, server, until):
    channel = thread_events.log(place.organization_id, place.thread).encode()
    first, second = connect(), connect()
    subscribers = server.pubsub_numsub(channel)

    first.close()
    second.close()

    assert subscribers == [(channel, 1)]
    until(lambda: server.pubsub_numsub(channel) == [(channel, 0)])
