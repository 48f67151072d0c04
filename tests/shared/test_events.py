"""What is told of an execution: in order, cut to size, forgotten in time, and never in anybody's way."""

import json
import time
from uuid import uuid4

import pytest
import redis

from shared import broker, events
from shared.plan import Usage
from tests import factories
from tests.waiting import until

WAIT_SECONDS = 5.0


@pytest.fixture
def server(database, settings):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture
def told(server):
    """The kinds of events in a stream, once there are so many."""

    def told(uuid, count):
        until(lambda: len(events.after(server, uuid)) >= count)
        return events.after(server, uuid)

    return told


def test_events_stand_in_their_order_with_their_fields(told):
    uuid, layer = uuid4(), factories.layer("answer")

    events.started(uuid, 2)
    events.layer_started(uuid, 2, layer)
    events.layer_ended(uuid, 2, factories.result(layer.path, usage=Usage(1, 2, 3)))
    events.ended(uuid, "succeeded")

    assert [(each.kind, each.fields) for each in told(uuid, 4)] == [
        ("started", {"attempt": 2}),
        ("layer_started", {"path": "answer/0", "kind": "text", "attempt": 2}),
        ("layer_ended", LAYER_ENDED),
        ("ended", {"status": "succeeded"}),
    ]


LAYER_ENDED = {
    "path": "answer/0",
    "state": "passed",
    "reason": None,
    "seconds": 0.1,
    "calls": 1,
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "attempt": 2,
}


def test_a_failed_layer_is_told_by_its_reason_and_never_by_its_error(told):
    uuid = uuid4()

    events.layer_ended(uuid, 1, factories.result(passed=False, error="secret words", reason="provider_error"))

    (event,) = told(uuid, 1)
    assert (event.fields["state"], event.fields["reason"], event.fields["usage"]) == ("failed", "provider_error", None)
    assert "secret" not in json.dumps(event.fields)


def test_a_stream_is_cut_to_its_length_and_forgotten_in_time(told, server):
    uuid = uuid4()

    for number in range(3 * events.LENGTH):
        events.started(uuid, number)
    events.ended(uuid, "succeeded")
    while told(uuid, 1)[-1].kind != "ended":
        continue

    assert events.LENGTH <= server.xlen(events.channel(uuid)) < 1.2 * events.LENGTH
    assert 0 < server.ttl(events.channel(uuid)) <= events.STREAM_SECONDS


def test_every_event_is_rung_as_it_stands_in_the_stream(told, server):
    uuid = uuid4()
    with server.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(events.channel(uuid))
        subscription.get_message(timeout=WAIT_SECONDS)
        events.started(uuid, 1)
        ring = subscription.get_message(timeout=WAIT_SECONDS)

    assert [events.heard(ring["data"])] == told(uuid, 1)


@pytest.mark.parametrize("ring", [b"", b"1-0 started", b"1-0 started {", b"\xff 1 2"])
def test_a_ring_that_is_no_event_is_refused(ring):
    with pytest.raises(ValueError):  # noqa: PT011
        events.heard(ring)


def test_reading_goes_on_after_an_event(told, server):
    uuid = uuid4()
    for attempt in (1, 2, 3):
        events.started(uuid, attempt)
    first, *others = told(uuid, 3)

    assert events.after(server, uuid, first.id) == others
    assert events.after(server, uuid, others[-1].id) == []
    assert events.newest(server, uuid) == others[-1].id


def test_nothing_is_said_to_come_after_an_event_that_is_gone(told, server):
    uuid = uuid4()
    events.started(uuid, 1)
    (event,) = told(uuid, 1)
    server.delete(events.channel(uuid))

    assert events.after(server, uuid, event.id) is None
    assert events.after(server, uuid) == []
    assert events.newest(server, uuid) is None


def test_telling_without_a_broker_holds_nobody_up(database, settings):
    broker.connect(settings.__class__(redis_url="redis://127.0.0.1:1"))
    started = time.monotonic()

    for number in range(1000):
        events.started(uuid4(), number)

    assert time.monotonic() - started < 0.3


def test_what_is_written_down_is_told_and_in_its_order(publish, organization, told):
    publish(factories.source(factories.prompt_layer(), factories.prompt_layer()))
    claim = factories.running(organization)

    factories.record(claim, factories.result("answer/0"))
    factories.finish(claim, output={}, last=factories.result("answer/1"))

    found = told(claim.uuid, 3)
    assert [(each.kind, each.fields.get("path")) for each in found] == [
        ("layer_ended", "answer/0"),
        ("layer_ended", "answer/1"),
        ("ended", None),
    ]


def test_what_a_lost_claim_could_not_write_is_not_told(publish, organization, told):
    publish(factories.source())
    claim = factories.running(organization)
    factories.release(claim)

    written = factories.finish(claim, output={}, last=factories.result())
    events.started(claim.uuid, 2)

    assert (written, [each.kind for each in told(claim.uuid, 1)]) == (False, ["started"])


def test_every_way_to_end_is_told(publish, organization, told):
    publish(factories.source())
    waiting = factories.accept(organization)

    factories.cancel(organization, waiting.uuid)

    assert [(each.kind, each.fields["status"]) for each in told(waiting.uuid, 1)] == [("ended", "cancelled")]
