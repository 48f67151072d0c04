"""`/v2/executions/{execution}/events`: live, resumed, replaced by a snapshot, and let go."""

import itertools
import json
import threading
from uuid import uuid4

import pytest
import redis

from api import following
from api.following import Following
from api.watchers import Watchers
from shared import db, events, reports
from tests import factories
from tests.api.definitions import REVIEW, asks, pipeline

TWO = pipeline(asks("one", "two"))
STORY = ["accepted", "started", "layer_started", "layer_ended", "ended"]


def parsed(text):
    """The events in a stream; comments and the hint when to come back are no events."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block != ":"]
    return [{**each, "data": json.loads(each["data"])} for each in blocks if "data" in each]


def kinds(found):
    return [each["event"] for each in found]


class Stream:
    """A stream that is read as far as it is wanted; a comment means that what was waited for did not come."""

    def __init__(self, frames):
        self._frames = frames

    def next(self):
        for frame in self._frames:
            assert frame != b":\n\n", "nothing came"
            if found := parsed(frame.decode()):
                return found[0]
        return None

    def kinds(self, count):
        return [self.next()["event"] for _ in range(count)]


@pytest.fixture
def running(publish, organization, app):
    """An execution of two layers that a worker has claimed, and told that it has begun."""
    publish(TWO)
    claim = factories.running(organization)
    events.started(claim.uuid, claim.attempt)
    return claim


@pytest.fixture
def ended(client, publish, organization, worker):
    """The uuid of an execution that has succeeded."""
    publish(REVIEW)
    report = factories.accept(organization, inputs=(("film", "Avatar"),))
    worker.work()
    return report.uuid


@pytest.fixture
def server(settings, database):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def told(server, until):
    """Wait until the stream of an execution has so many events."""
    return lambda uuid, count: until(lambda: server.xlen(events.channel(uuid)) >= count)


@pytest.fixture
def get(client):
    """Read the whole stream of an execution that ends."""

    def get(uuid, last=None, **query):
        headers = {"Last-Event-ID": last} if last else {}
        return parsed(client.get(f"/v2/executions/{uuid}/events", headers=headers, query_string=query).text)

    return get


@pytest.fixture
def stream(client):
    """Begin to read the stream of an execution."""
    opened = []

    def stream(uuid, last=None):
        headers = {"Last-Event-ID": last} if last else {}
        answer = client.get(f"/v2/executions/{uuid}/events", headers=headers, buffered=False)
        opened.append(answer)
        return Stream(answer.response)

    yield stream
    for each in opened:
        each.close()


@pytest.fixture
def follow(organization, settings, monkeypatch):
    """Follow an execution over a Redis of one's own choice, looking at its row ten times a second."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(following, "READY_SECONDS", 0.2)
    monkeypatch.setattr(following, "GRACE_SECONDS", 0.1)
    started = []

    def follow(uuid, url=settings.redis_url):
        started.append(Watchers(url))
        started[-1].start()
        with db.autocommit() as connection:
            report = reports.find(connection, organization, uuid)
        return Stream(Following(started[-1], organization, report, None).frames(lambda: False)), started[-1]

    yield follow
    for each in started:
        each.close()


def test_an_execution_is_told_from_its_acceptance_to_its_end(publish, organization, working, client, get):
    publish(REVIEW)
    report = factories.accept(organization, inputs=(("film", "Avatar"),))

    with working():
        found = get(report.uuid)

    assert kinds(found) == STORY
    assert {each["data"]["execution"] for each in found} == {str(report.uuid)}
    assert found[3]["data"]["path"] == "review/0"
    assert found[4]["data"]["report"] == client.get(f"/v2/executions/{report.uuid}").json
    assert (found[4]["data"]["status"], found[4]["data"]["reason"]) == ("succeeded", None)


def test_the_answer_is_a_stream_that_nobody_keeps(ended, client):
    answer = client.get(f"/v2/executions/{ended}/events")

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store", "no")
    assert answer.text.startswith("retry: 2000\n\n")


def test_what_happened_before_is_told_too(ended, told, get):
    told(ended, 4)

    assert kinds(get(ended)) == STORY


def test_a_resumed_stream_doubles_and_loses_nothing(ended, told, get):
    told(ended, 4)
    whole = get(ended)

    for number, event in enumerate(whole[:-1]):
        assert get(ended, event["id"]) == whole[number + 1 :]
        assert get(ended, last_event_id=event["id"]) == whole[number + 1 :]


def test_the_header_goes_before_the_query(ended, told, get):
    told(ended, 4)
    whole = get(ended)

    assert get(ended, whole[2]["id"], last_event_id=whole[0]["id"]) == whole[3:]


def test_who_has_had_everything_is_told_to_stay_away(ended, client):
    answer = client.get(f"/v2/executions/{ended}/events", headers={"Last-Event-ID": "ended"})

    assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize("last", [None, "0-0", "1795251600950-0"])
def test_an_end_without_its_stream_is_told_by_a_snapshot(ended, told, server, get, last):
    told(ended, 4)
    server.flushall()

    snapshot, end = get(ended, last)

    assert (snapshot["event"], end["event"]) == ("snapshot", "ended")
    assert "id" not in snapshot
    assert snapshot["data"]["report"] == end["data"]["report"]


def test_a_stream_that_was_cut_is_replaced_by_a_snapshot_and_goes_on(running, told, server, stream):
    factories.record(running, factories.result("answer/0"))
    told(running.uuid, 2)
    first, second = events.after(server, running.uuid)
    server.xtrim(events.channel(running.uuid), maxlen=1, approximate=False)

    begun = stream(running.uuid, first.id)
    snapshot = begun.next()
    factories.finish(running, output={}, last=factories.result("answer/1"))

    assert (snapshot["event"], snapshot["id"]) == ("snapshot", second.id)
    assert [each["state"] for each in snapshot["data"]["report"]["properties"][0]["layers"]] == ["passed", "running"]
    assert begun.kinds(2) == ["layer_ended", "ended"]


def test_a_stream_without_its_beginning_is_replaced_by_a_snapshot(running, told, server, stream):
    told(running.uuid, 1)
    server.flushall()
    factories.record(running, factories.result("answer/0"))
    told(running.uuid, 1)

    assert stream(running.uuid).next()["event"] == "snapshot"


def test_an_event_that_is_on_its_way_is_waited_for(publish, organization, stream):
    publish(TWO)
    factories.accept(organization)
    claim = factories.claim()
    late = threading.Timer(0.1, events.started, (claim.uuid, claim.attempt))

    late.start()

    assert stream(claim.uuid).kinds(2) == ["accepted", "started"]


def test_layers_that_another_execution_left_are_not_missed_in_the_stream(publish, organization, told, stream):
    publish(TWO)
    report = factories.accept(organization)
    factories.change(
        "INSERT INTO layer_results (execution_id, path, attempt, passed, output, calls, seconds, ended_at)"
        " VALUES (:id, 'answer/0', 0, true, '1', 0, 0, now())",
        id=report.id,
    )

    assert stream(report.uuid).next()["event"] == "accepted"


@pytest.mark.parametrize("last", ["x", "1", "1-", "-1", "1-2-3", "1-99999999999999999999", "١-٢", "ended "])
def test_an_id_that_is_none_is_refused_by_its_place(running, client, last):
    path = f"/v2/executions/{running.uuid}/events"

    by_header = client.get(path, headers={"Last-Event-ID": last.encode().decode("latin-1")})
    by_query = client.get(path, query_string={"last_event_id": last})

    assert (by_header.status_code, by_query.status_code) == (422, 422)
    assert by_header.json["errors"][0]["field"] == "Last-Event-ID"
    assert by_query.json["errors"][0]["field"] == "last_event_id"


def test_what_cannot_be_followed(ended, client, stranger, anonymous):
    path = f"/v2/executions/{ended}/events"
    factories.change("UPDATE executions SET expires_at = now()")

    assert client.get(path).status_code == 410
    assert client.get(f"/v2/executions/{uuid4()}/events").status_code == 404
    assert stranger.get(path).status_code == 404
    assert anonymous.get(path).status_code == 401


def test_following_wants_the_scope_to_read(running, app, organization, make_key):
    headers = {"Authorization": f"Bearer {make_key(organization, 'execute')}"}

    assert app.test_client().get(f"/v2/executions/{running.uuid}/events", headers=headers).status_code == 403


def test_a_cancelled_execution_ends_its_stream(publish, organization, stream):
    publish(REVIEW)
    report = factories.accept(organization, inputs=(("film", "Avatar"),))
    begun = stream(report.uuid)
    begun.next()

    factories.cancel(organization, report.uuid)

    end = begun.next()
    assert (end["event"], end["data"]["status"], end["data"]["reason"]) == ("ended", "cancelled", "cancelled")
    assert begun.next() is None


def test_a_subscription_that_was_lost_loses_no_event(running, told, server, stream):
    begun = stream(running.uuid)
    begun.kinds(2)

    server.client_kill_filter(_type="pubsub")
    factories.record(running, factories.result("answer/0"))
    factories.finish(running, output={}, last=factories.result("answer/1"))

    assert begun.kinds(3) == ["layer_ended", "layer_ended", "ended"]


def test_without_redis_changes_are_told_by_snapshots(publish, organization, follow):
    publish(TWO)
    report = factories.accept(organization)
    begun, _ = follow(report.uuid, "redis://127.0.0.1:1")

    told = [begun.next()]
    claim = factories.claim()
    told.append(begun.next())
    factories.record(claim, factories.result("answer/0"))
    told.append(begun.next())
    factories.finish(claim, output={}, last=factories.result("answer/1"))
    told.append(begun.next())

    assert kinds(told) == ["snapshot", "snapshot", "snapshot", "ended"]
    assert [each["data"]["report"]["status"] for each in told] == ["queued", "running", "running", "succeeded"]
    assert begun.next() is None


def test_what_is_queued_again_is_told_by_a_snapshot(running, told, follow):
    told(running.uuid, 1)
    begun, _ = follow(running.uuid)
    begun.kinds(2)

    factories.release(running)

    snapshot = begun.next()
    assert (snapshot["event"], snapshot["data"]["report"]["status"]) == ("snapshot", "queued")


def test_silence_is_filled_with_comments(running, told, follow, monkeypatch):
    monkeypatch.setattr(following, "KEEP_ALIVE_SECONDS", 0.3)
    told(running.uuid, 1)
    begun, _ = follow(running.uuid)

    assert list(itertools.islice(begun._frames, 5))[3:] == [b":\n\n", b":\n\n"]


def test_everybody_leaves_early_when_the_process_ends(running, told, follow):
    told(running.uuid, 1)
    begun, watchers = follow(running.uuid)
    begun.kinds(2)

    watchers.let_go()

    assert begun.next() is None


def test_a_process_subscribes_to_what_is_watched_and_to_nothing_else(running, server, stream, until):
    channel = events.channel(running.uuid).encode()

    first, second = stream(running.uuid), stream(running.uuid)
    first.next(), second.next()
    subscribers = server.pubsub_numsub(channel)
    first._frames.close()
    second._frames.close()

    assert subscribers == [(channel, 1)]
    until(lambda: server.pubsub_numsub(channel) == [(channel, 0)])


def test_who_comes_back_at_once_hears_again(running, told, stream):
    for _ in range(20):
        begun = stream(running.uuid)
        begun.next()
        begun._frames.close()

    begun = stream(running.uuid)
    begun.kinds(2)
    factories.record(running, factories.result("answer/0"))

    assert begun.next()["event"] == "layer_ended"


def test_deltas_are_told_as_they_come_and_to_who_comes_later(running, told, stream):
    begun = stream(running.uuid)
    begun.kinds(2)

    events.delta(running.uuid, 1, "answer/0", 1, 0, "Once ✎")
    events.delta_reset(running.uuid, 1, "answer/0", 1)

    live = [begun.next(), begun.next()]
    again = stream(running.uuid)
    again.kinds(2)
    assert [again.next(), again.next()] == live
    assert (
        live[0]["data"].items()
        >= {
            "path": "answer/0",
            "attempt": 1,
            "call": 1,
            "offset": 0,
            "text": "Once ✎",
        }.items()
    )
    assert kinds(live) == ["delta", "delta_reset"]


def test_who_missed_deltas_that_are_gone_is_told_by_a_snapshot(running, told, server, follow):
    told(running.uuid, 1)
    begun, _ = follow(running.uuid)
    begun.kinds(2)
    events.delta(running.uuid, 1, "answer/0", 1, 0, "Once")
    begun.kinds(1)

    server.flushall()
    server.client_kill_filter(_type="pubsub")

    assert begun.next()["event"] == "snapshot"
