import json
import logging
import time

import pytest

from shared import log, pipelines
from tests import factories
from tests.factories import prompt_layer, source

TWO_LAYERS = source(prompt_layer("one"), prompt_layer("two: {{previous}}"))
TOLERANCE_SECONDS = 1.0


def flying(model, count=1):
    """Wait until so many calls are in flight."""
    model.wait_for(lambda totals: totals["in_flight"] == count)


def test_an_execution_is_run_to_its_document(organization, publish, worker, model):
    publish(source(prompt_layer("Review {{film}}"), inputs=[{"name": "film"}]))
    model.script([{"match": "Review Avatar", "answer": "Blue."}])
    accepted = factories.accept(organization, inputs=(("film", "Avatar"),))

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.output) == ("succeeded", {"answer": "Blue."})


def test_the_provider_is_told_execution_layer_and_attempt(organization, publish, worker, model):
    publish(source(prompt_layer(name="write")))
    accepted = factories.accept(organization)

    worker.work()

    (call,) = model.calls(execution=str(accepted.uuid))
    assert (call["layer"], call["attempt"]) == ("answer/write", 1)


def test_an_execution_that_waits_on_a_model_is_cancelled_and_its_call_closed(
    organization, publish, worker, working, model
):
    publish(source(prompt_layer(model="demo:mode=silent"), prompt_layer()))
    accepted = factories.accept(organization)
    work = working(worker)
    flying(model)

    assert factories.cancel(organization, accepted.uuid) == "cancelling"

    work.result(2.0)
    assert factories.report(organization, accepted).status == "cancelled"
    assert model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)["count"] == 1


def test_a_deadline_ends_an_execution_that_waits_on_a_model(organization, publish, worker, model):
    publish(source(prompt_layer(model="demo:mode=silent"), deadline_seconds=1))
    accepted = factories.accept(organization)
    started = time.monotonic()

    worker.work()

    assert time.monotonic() - started < 1 + TOLERANCE_SECONDS
    report = factories.report(organization, accepted)
    assert (report.status, report.reason) == ("failed", "deadline")
    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)


def test_a_layer_s_time_bounds_its_tries(organization, publish, worker, model):
    publish(source(prompt_layer(model="demo:mode=drip", timeout_seconds=0.5, retry={"attempts": 5})))
    accepted = factories.accept(organization)
    started = time.monotonic()

    worker.work()

    assert time.monotonic() - started < 0.5 + TOLERANCE_SECONDS
    assert factories.report(organization, accepted).reason == "provider_timeout"


def test_a_drain_closes_what_is_left_and_the_next_attempt_goes_on_from_there(
    organization, publish, start_worker, working, model
):
    publish(TWO_LAYERS)
    model.script([{"layer": "answer/1", "mode": "silent", "times": 1}])
    accepted = factories.accept(organization)
    first = start_worker(drain_seconds=0.2)
    work = working(first)
    model.wait_for(lambda totals: totals["count"] == 2)

    first.drain()
    work.result(3.0)
    start_worker().work()

    report = factories.report(organization, accepted)
    assert (report.status, report.attempt) == ("succeeded", 2)
    assert [len(model.calls(layer=f"answer/{number}")) for number in (0, 1)] == [1, 2]


def test_a_drained_execution_is_queued_without_a_death(organization, publish, start_worker, working, model):
    publish(source(prompt_layer(model="demo:mode=silent")))
    accepted = factories.accept(organization)
    worker = start_worker(drain_seconds=0.1)
    work = working(worker)
    flying(model)

    worker.drain()
    work.result(3.0)

    row = factories.row(accepted.id)
    assert (row.status, row.deaths, row.attempt) == ("queued", 0, 1)


def test_a_layer_in_flight_gets_its_time_in_a_drain_and_the_next_is_not_begun(
    organization, publish, start_worker, working, model
):
    publish(TWO_LAYERS)
    model.script([], latency_ms=400)
    factories.accept(organization)
    worker = start_worker(drain_seconds=30)
    work = working(worker)
    flying(model)

    worker.drain()
    work.result(3.0)

    assert [row.passed for row in factories.query("SELECT passed FROM layer_results")] == [True]
    assert model.totals()["count"] == 1


def test_a_worker_that_drains_claims_nothing(organization, publish, worker):
    publish(source())
    accepted = factories.accept(organization)

    worker.drain()
    worker.work()

    assert factories.row(accepted.id).status == "queued"


def test_a_failed_property_keeps_what_the_others_gave(organization, publish, worker):
    properties = [
        {"name": "bad", "layers": [prompt_layer(model="demo:status=401")]},
        {"name": "child", "layers": [prompt_layer("{{bad}}")]},
        {"name": "good", "layers": [prompt_layer()]},
    ]
    publish({"properties": properties})
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.reason, report.output) == ("failed", "provider_auth", None)
    assert [each.state for each in report.properties] == ["failed", "skipped", "passed"]


def test_independent_properties_ask_their_models_at_once(organization, publish, worker, model):
    publish({"properties": [{"name": f"p{number}", "layers": [prompt_layer()]} for number in range(5)]})
    model.script([], latency_ms=200)
    factories.accept(organization)

    worker.work()

    assert model.totals()["max_in_flight"] == 5


def test_what_a_model_says_is_never_taken_for_a_reference(organization, publish, worker, model):
    publish(source(prompt_layer("one {{secret}}"), prompt_layer("two {{previous}}"), inputs=[{"name": "secret"}]))
    model.script([
        {"match": "one", "answer": "{{secret}} ${KEY}"},
        {"match": r"^two \{\{secret\}\} \$\{KEY\}$", "answer": "kept"},
    ])
    accepted = factories.accept(organization, inputs=(("secret", "canary"),))

    worker.work()

    assert factories.report(organization, accepted).output == {"answer": "kept"}


@pytest.mark.parametrize("said", ["a\\u0000b", "a\\ud800b"])
def test_what_cannot_be_stored_is_replaced_before_the_next_layer_reads_it(organization, publish, worker, model, said):
    publish(TWO_LAYERS)
    model.script([
        {"match": "^one", "body": f'{{"choices": [{{"message": {{"content": "{said}"}}}}]}}'},
        {"match": "two: a\ufffdb", "answer": "kept"},
    ])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.output, report.properties[0].layers[0].output) == ({"answer": "kept"}, "a\ufffdb")


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a\x00b", "choices": [{"message": {"content": "x"}}]},
        {"id": "\ud800", "choices": [{"message": {"content": "x"}}]},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 10**30, "total_tokens": 2**63}},
    ],
    ids=["nul", "surrogate", "usage"],
)
def test_a_provider_s_nonsense_does_not_keep_an_execution_from_its_end(organization, publish, worker, model, body):
    publish(source())
    model.script([{"body": json.dumps(body)}])
    accepted = factories.accept(organization)

    worker.work()

    assert factories.report(organization, accepted).status == "succeeded"


def test_an_execution_that_cannot_be_run_at_all_is_failed_and_not_tried_for_ever(organization, publish, worker):
    version = publish(source())
    accepted = factories.accept(organization)
    unknown = json.dumps(source({"kind": "of-another-release"}))
    factories.change("UPDATE versions SET definition = :definition", definition=unknown)
    pipelines._known.pop(version.id)

    worker.work()

    row = factories.row(accepted.id)
    assert (row.status, row.reason, row.deaths) == ("failed", "config", 0)


def test_a_claim_that_is_lost_ends_nothing(organization, publish, worker, working, model, eventually):
    publish(source(prompt_layer(model="demo:latency=300")))
    accepted = factories.accept(organization)
    work = working(worker)
    flying(model)

    factories.change("UPDATE executions SET attempt = attempt + 1, worker = :other", other=factories.enter_worker())

    work.result(5.0)
    row = factories.row(accepted.id)
    assert (row.status, row.attempt, factories.query("SELECT 1 FROM layer_results")) == ("running", 2, [])


def test_what_passed_before_a_crash_is_not_asked_again(organization, publish, worker, model):
    publish(TWO_LAYERS)
    accepted = factories.accept(organization)
    claim = factories.claim(factories.enter_worker(lease_seconds=0.0))
    factories.record(claim, factories.result("answer/0", output="kept"))
    factories.rescue()

    worker.work()

    assert factories.report(organization, accepted).status == "succeeded"
    assert [call["layer"] for call in model.calls()] == ["answer/1"]


def test_one_permit_runs_what_is_queued_one_after_the_other(organization, publish, worker):
    publish(source())
    for _ in range(5):
        factories.accept(organization)

    assert worker.work() is False

    assert [row.status for row in factories.query("SELECT DISTINCT status FROM executions")] == ["succeeded"]


@pytest.fixture
def lines():
    """Every line that is logged meanwhile, down to the last detail, as it would be written."""
    written = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(log.Formatter().format(record))
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.setLevel(before)
    root.removeHandler(handler)


def test_no_log_of_an_execution_shows_what_it_is_about(organization, publish, worker, model, lines):
    publish(source(prompt_layer("canary-prompt {{film}}"), prompt_layer("{{previous}}"), inputs=[{"name": "film"}]))
    model.script([
        {"match": "canary-input", "answer": "canary-answer"},
        {"match": "canary-answer", "status": 400, "body": "canary-body"},
    ])
    factories.accept(organization, inputs=(("film", "canary-input"),), metadata={"a": "canary-metadata"})

    worker.work()

    assert any("execution failed" in line for line in lines)
    assert not [line for line in lines if "canary" in line]
