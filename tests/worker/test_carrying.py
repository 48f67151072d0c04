"""A layer's record goes with the intent of the next call, and waits for nothing else."""

import json
import time

import pytest
import redis

from shared import broker, events, rendering
from shared.errors import Fenced, Unavailable
from tests import cursors, factories
from tests.chaos.proxy import in_front_of
from tests.factories import prompt_layer, source
from worker import overtime
from worker.carrying import Carried, Uncarried

THREE = (prompt_layer("one"), prompt_layer("two"), prompt_layer("three"))


def states(report):
    return [each.state for each in report.properties[0].layers]


def test_a_record_and_the_next_intent_are_one_statement(organization, publish, worker):
    publish(source(*THREE))
    factories.accept(organization)
    worker.work()
    factories.accept(organization)

    with cursors.sent_here() as sent:
        worker.work()

    # The version is known by now, and nobody is left behind.
    assert len(sent) == len(("claim", "intent", "record", "record", "end"))


def test_what_is_recorded_is_there_when_the_next_call_arrives(organization, publish, worker, working, model):
    publish(source(*THREE))
    model.script([{"layer": "answer/1", "latency_ms": 2000}])
    factories.accept(organization)

    work = working(worker)
    model.wait_for(lambda totals: totals["count"] == 2)

    assert factories.recorded() == ["answer/0"]
    assert [tuple(row) for row in factories.query("SELECT number, path FROM calls")] == [(2, "answer/1")]
    work.result(10)


@pytest.mark.parametrize("behind", [{"when": "previous == 'no'"}, {"cache": {"seconds": 60}}, {"stream": True}])
def test_every_way_to_go_on_leaves_the_same_report(organization, publish, worker, behind):
    publish(source(prompt_layer("one"), prompt_layer("two", **behind), prompt_layer("three")))
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert states(report) == ["passed", "skipped" if "when" in behind else "passed", "passed"]
    assert factories.query("SELECT FROM calls") == []


def test_a_layer_that_fails_before_its_call_leaves_the_one_in_front_recorded(organization, publish, worker):
    # It would render to more than may be sent.
    publish(source(prompt_layer("one"), prompt_layer("{{word}}" * 20), inputs=[{"name": "word"}]))
    accepted = factories.accept(organization, inputs=(("word", "x" * (rendering.MOST_CHARACTERS // 10)),))

    worker.work()

    assert states(factories.report(organization, accepted)) == ["passed", "failed"]
    assert [row.kept for row in factories.query("SELECT kept FROM usage")] == [True]


def test_the_one_in_front_is_recorded_while_a_call_waits_for_its_turn(
    organization, publish, start_worker, working, model, eventually
):
    limited = {"paced": {"base_url": model.base_url, "api_key": "demo", "limits": {"requests_per_minute": 20}}}
    worker = start_worker(providers=json.dumps(limited))
    publish(source(prompt_layer("one", model="paced/demo"), prompt_layer("two", model="paced/demo")))
    factories.accept(organization)

    work = working(worker)

    eventually(lambda: factories.recorded() == ["answer/0"])
    assert (model.totals()["count"], factories.query("SELECT FROM calls")) == (1, [])
    work.result(10)


def test_postgres_away_between_two_layers_takes_no_time_of_the_second(
    organization, publish, start_worker, working, model, settings, monkeypatch
):
    monkeypatch.setattr(overtime, "GRACE_SECONDS", 0.2)
    publish(source(prompt_layer("one"), prompt_layer("two", timeout_seconds=0.5)))
    model.script([{"layer": "answer/0", "latency_ms": 500}])
    with in_front_of(settings.database_url) as (proxy, url):
        worker = start_worker(database_url=url)
        accepted = factories.accept(organization)
        work = working(worker)
        model.wait_for(lambda totals: totals["in_flight"] == 1)

        proxy.reset()
        model.wait_for(lambda totals: totals["answered"] == 1)
        # The length of the outage: more than the layer's time and what it may take to notice its end.
        time.sleep(1.5)
        proxy.heal()

        work.result(10)
        assert states(factories.report(organization, accepted)) == ["passed", "passed"]
    assert model.totals()["count"] == 2


def test_a_layer_is_told_to_begin_when_the_one_in_front_is_told_to_have_ended(organization, publish, worker, settings):
    publish(source(*THREE))
    accepted = factories.accept(organization)

    worker.work()

    broker.connect(settings)
    with redis.Redis.from_url(settings.redis_url) as client:
        told = [(each.kind, each.fields.get("path")) for each in events.after(client, accepted.uuid)]
    layers = [("layer_started", "layer_ended")] * 3
    assert told[1:-1] == [(kind, f"answer/{number}") for number, pair in enumerate(layers) for kind in pair]


def test_a_record_that_waits_is_written_once_with_what_is_told_behind_it():
    carried, written = Carried(), []
    carried.put("a/1", lambda intent, *, patient: written.append(("record", intent, patient)))

    assert carried.then("a/1", lambda: written.append("told"))
    assert not carried.then("a/2", lambda: written.append("never"))
    assert [carried.take_along("a/1", "intent"), carried.take_along("a/1", "intent")] == [True, False]
    assert written == [("record", "intent", False), "told"]


def test_every_record_that_waits_can_be_written():
    carried, written = Carried(), []
    for path in ("a/1", "b/1"):
        carried.put(path, lambda intent, *, patient, path=path: written.append(path))

    carried.write_all()
    carried.write_all()

    assert written == ["a/1", "b/1"]


@pytest.mark.parametrize(
    ("error", "raised", "waits"),
    [
        (Fenced("lost"), Fenced, False),
        (Unavailable("away"), Uncarried, True),
        (ZeroDivisionError(), ZeroDivisionError, True),
    ],
)
def test_a_record_that_could_not_be_written_waits_on_unless_the_claim_is_lost(error, raised, waits):
    carried = Carried()

    def write(intent, *, patient):
        raise error

    carried.put("a/1", write)
    with pytest.raises(raised):
        carried.take_along("a/1")

    assert carried.then("a/1", lambda: None) is waits
