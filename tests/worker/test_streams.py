"""Prompt layers that stream, from the model to the events of their execution and the row of their result."""

import time

import pytest
import redis

from shared import broker, events
from tests import cursors, factories
from tests.factories import prompt_layer, source


@pytest.fixture
def told(settings, worker):
    """The events of an execution, once all that was told has left."""

    def told(uuid):
        broker.connect(settings)
        with redis.Redis.from_url(settings.redis_url) as client:
            return list(events.after(client, uuid))

    return told


@pytest.fixture
def run_one(organization, publish, worker):
    """Run an execution of these layers and return its report."""

    def run_one(*layers, **settings):
        publish(source(*layers, **settings))
        accepted = factories.accept(organization)
        worker.work()
        return factories.report(organization, accepted)

    return run_one


@pytest.fixture
def statements(organization, worker):
    """The statements that running an execution of a pipeline takes, those of the heartbeat left out."""

    def statements(pipeline):
        factories.accept(organization, pipeline)
        with cursors.sent_here() as sent:
            worker.work()
        return sent

    return statements


def text(found, path="answer/0"):
    return "".join(each.fields["text"] for each in found if each.kind == "delta" and each.fields["path"] == path)


def test_the_text_of_the_deltas_is_the_layer_s_output(run_one, told):
    report = run_one(prompt_layer(model="demo:pace=5", stream=True))

    found = told(report.uuid)
    assert text(found) == report.output["answer"]
    assert [each.kind for each in found if each.kind != "delta"] == ["started", "layer_started", "layer_ended", "ended"]
    assert found[2].kind == "delta"


def test_a_structured_answer_is_told_as_it_is_written(run_one, told, model):
    model.script([{"answer": '["one", "two"]', "pace_ms": 1}])

    report = run_one(prompt_layer(stream=True, output="list"))

    assert report.output == {"answer": ["one", "two"]}
    assert text(told(report.uuid)) == '["one", "two"]'


def test_streaming_costs_the_database_nothing(publish, statements):
    for stream in (False, True):
        publish(source(prompt_layer(model="demo:pace=5", stream=stream), prompt_layer()), f"stream-{stream}".lower())
        # The first one of a pipeline takes a look at its definition.
        statements(f"stream-{stream}".lower())

    whole, streamed = statements("stream-false"), statements("stream-true")

    assert len(whole) > 3
    assert whole == streamed


def test_a_cancel_cuts_a_stream_within_a_second(organization, publish, worker, working, model):
    publish(source(prompt_layer(stream=True)))
    model.script([{"answer": "word " * 2000, "pace_ms": 10}])
    accepted = factories.accept(organization)
    work = working(worker)
    model.wait_for(lambda totals: totals["in_flight"] == 1)
    started = time.monotonic()

    factories.cancel(organization, accepted.uuid)

    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)
    work.result(2.0)
    assert time.monotonic() - started < 1.5
    assert factories.row(accepted.id).status == "cancelled"


def test_a_long_answer_leaves_the_other_events_where_they_were(run_one, told, model):
    model.script([{"answer": "word " * 4000, "pace_ms": 0.1}])

    report = run_one(prompt_layer(stream=True, timeout_seconds=100), {"kind": "text"})

    found = told(report.uuid)
    assert found[0].kind == "started"
    assert len(found) < 500
