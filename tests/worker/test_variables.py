"""Variables of executions that a worker runs: they reach whom they are for, and nobody else."""

import json
from base64 import b64encode
from uuid import uuid4

import pytest
import redis

from shared import acceptance, broker, db, events, webhooks
from shared.order import Order
from shared.sealing import Sealer
from tests import factories, sink
from tests.factories import LOOPBACK, prompt_layer, source
from tests.worker.providers.raw_server import answer, read_request, serving

SECRET = 'canary-4f7d/1c9e"2b8a+Zx'
KEYS = ("a key of the tests that seals secrets",)


@pytest.fixture
def accept(organization):
    """Accept an execution with a secret in `${TOKEN}`."""

    def accept(value=SECRET, **order):
        with db.transaction() as connection:
            order = Order("pipeline", env_vars={"TOKEN": value}, **order)
            return acceptance.accept(connection, organization, order, uuid=uuid4(), sealer=Sealer(KEYS))

    return accept


@pytest.fixture
def run_one(organization, accept, publish, start_worker):
    """Run an execution of these layers with a secret in `${TOKEN}`, and return its report."""

    def run_one(*layers, inputs=()):
        if layers:
            publish(source(*layers, inputs=[{"name": name} for name, _ in inputs], output="answer"))
        accepted = accept(inputs=inputs)
        start_worker(allowed_networks=LOOPBACK, secret_keys=KEYS).work()
        return factories.report(organization, accepted)

    return run_one


@pytest.fixture
def echoing():
    """A server that sends each request back as JSON, and keeps it: `with echoing() as (url, requests)`."""
    requests = []

    def speak(connection):
        requests.append(read_request(connection).decode())
        connection.sendall(answer(json.dumps({"heard": requests[-1]}).encode(), status=speak.status))

    speak.status = "200 OK"
    return speak, requests


def everything():
    """All that any table holds, as a dump would have it."""
    tables = factories.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return "\n".join(row for (name,) in tables for (row,) in factories.query(f'SELECT t::text FROM "{name}" t'))


def test_a_secret_reaches_a_server_and_is_redacted_in_what_it_gives_back(run_one, echoing):
    speak, requests = echoing
    layer = {
        "kind": "http",
        "url": "{{base}}/${TOKEN}",
        "method": "POST",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "json": {"token": "${TOKEN}"},
    }

    with serving(speak) as url:
        report = run_one(layer, inputs=(("base", url),))

    assert f"Authorization: Bearer {SECRET}" in requests[0]
    assert json.dumps({"token": SECRET}) in requests[0].replace('":"', '": "')
    assert "canary-4f7d%2F1c9e%222b8a%2BZx" in requests[0]
    assert report.output["heard"].count("[TOKEN]") == 3
    assert "canary" not in report.output["heard"]


def test_an_error_that_repeats_a_secret_is_redacted(run_one, echoing):
    speak, _ = echoing
    speak.status = "500 Broken"

    with serving(speak) as url:
        report = run_one(
            {"kind": "http", "url": "{{base}}", "headers": {"X-Token": "${TOKEN}"}}, inputs=(("base", url),)
        )

    failed = report.properties[0]
    assert (failed.reason, "[TOKEN]" in failed.error, "canary" in failed.error) == ("http_status", True, False)
    assert "canary" not in everything()


def test_an_answer_that_repeats_a_secret_is_redacted_for_the_layers_after_it(run_one, model):
    model.script([
        {"match": SECRET, "answer": f"it is {SECRET}, or {b64encode(SECRET.encode()).decode()}"},
        {"match": "after it is [TOKEN], or [TOKEN]", "answer": "understood"},
    ])

    report = run_one(prompt_layer("Say ${TOKEN}."), prompt_layer("after {{previous}}"))

    assert report.output == "understood"
    assert [each.output for each in report.properties[0].layers] == ["it is [TOKEN], or [TOKEN]", "understood"]


@pytest.mark.parametrize("directive", [{"answer": f"a {SECRET} b"}, {"answer": f"a {SECRET} b", "pace_ms": 1}])
def test_a_stream_is_redacted_though_it_comes_in_pieces(run_one, model, settings, directive):
    model.script([directive])

    report = run_one(prompt_layer("Say ${TOKEN}.", stream=True))

    broker.connect(settings)
    with redis.Redis.from_url(settings.redis_url) as client:
        told = [each.fields["text"] for each in events.after(client, report.uuid) if each.kind == "delta"]
    assert ("".join(told), report.output) == ("a [TOKEN] b", "a [TOKEN] b")


def test_a_provider_that_repeats_a_secret_in_its_error_is_redacted(run_one, model):
    model.script([{"status": 400, "body": json.dumps({"error": {"message": f"bad: {SECRET}"}})}])

    report = run_one(prompt_layer("Say ${TOKEN}."))

    assert report.properties[0].error == '{"error": {"message": "bad: [TOKEN]"}}'


def test_an_answer_is_kept_without_secrets(run_one, model):
    model.script([{"answer": f"a {SECRET} b"}])

    first = run_one(prompt_layer("Say ${TOKEN}.", cache={"seconds": 60}))
    second = run_one()

    assert (first.output, second.output, len(model.calls())) == ("a [TOKEN] b", "a [TOKEN] b", 1)
    assert "canary" not in everything()


@pytest.mark.parametrize("dialect", ["standard", "promptjuggler"])
def test_a_webhook_tells_no_secret(organization, accept, publish, start_worker, dialect):
    publish(source({"kind": "text", "value": "${TOKEN} and more"}, output="answer"))
    with sink.serving() as receiver:
        with db.transaction() as connection:
            details = {"dialect": dialect, "events": ["execution.ended"]}
            webhooks.create(connection, organization, Sealer(KEYS), url=receiver.url, **details)
        accept()
        worker = start_worker(allowed_networks=LOOPBACK, secret_keys=KEYS)
        worker.work()
        worker.work("webhooks")

    (body,) = receiver.bodies()
    assert b"canary" not in body
    assert b"canary" not in everything().encode()


def test_a_condition_that_repeats_a_secret_is_redacted(run_one, publish):
    publish(
        source({"kind": "text", "value": "x", "when": "abs(given) > `1`"}, inputs=[{"name": "given"}]), handle="inner"
    )

    report = run_one({"kind": "pipeline", "handle": "inner", "inputs": {"given": "${TOKEN}"}})

    assert "[TOKEN]" in report.properties[0].error
    assert "canary" not in everything()


def test_a_later_attempt_goes_on_from_what_was_redacted(organization, accept, publish, start_worker, working, model):
    publish(source({"kind": "text", "value": "${TOKEN}", "name": "made"}, prompt_layer("{{made}} ${TOKEN}")))
    model.script([{"times": 1, "mode": "silent"}, {"match": f"[TOKEN] {SECRET}", "answer": "told"}])
    accepted = accept()
    first = start_worker(drain_seconds=0.2, secret_keys=KEYS)
    work = working(first)
    model.wait_for(lambda totals: totals["count"] == 1)

    first.drain()
    work.result(5.0)
    start_worker(secret_keys=KEYS).work()

    report = factories.report(organization, accepted)
    assert (report.attempt, report.output) == (2, {"answer": "told"})


def test_variables_that_cannot_be_opened_fail_the_execution(organization, accept, publish, start_worker):
    publish(source(prompt_layer("Say ${TOKEN}.")))
    accepted = accept()

    start_worker(secret_keys=("another key of the tests, as long",)).work()

    report = factories.report(organization, accepted)
    assert (report.status, report.reason) == ("failed", "config")
    assert "STRATA_SECRET_KEYS" in report.error


def test_variables_moved_to_another_execution_cannot_be_opened(organization, accept, publish, start_worker):
    publish(source({"kind": "text", "value": "${TOKEN}"}))
    mine, theirs = accept("mine"), accept("theirs")
    factories.change(
        "UPDATE contents SET variables = (SELECT variables FROM contents WHERE execution_id = :theirs)"
        " WHERE execution_id = :mine",
        mine=mine.id,
        theirs=theirs.id,
    )

    start_worker(secret_keys=KEYS).work()

    assert [factories.report(organization, each).reason for each in (mine, theirs)] == ["config", None]
