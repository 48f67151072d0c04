"""Prompt layers whose model calls tools, run by a real worker: rounds, what comes of calls, and what is paid once."""

import json
from uuid import uuid4

import pytest
import redis

from shared import acceptance, db, executions, knowledge
from shared.order import Order
from shared.sealing import Sealer
from tests import factories
from tests.factories import LOOPBACK, prompt_layer, source
from tests.worker.providers.raw_server import answer, read_request, saying, serving

NOTE = {
    "type": "emit",
    "name": "note",
    "params_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def layer_of(report):
    return report.properties[0].layers[0]


def asks(*tools, **settings):
    return source(prompt_layer(tools=list(tools), **settings), output="answer")


def lookup(**settings):
    return {"type": "http", "name": "lookup", "url": "{{base}}/films", **settings}


def looking_up(**settings):
    layer = prompt_layer(tools=[lookup(**settings)])
    return source(layer, inputs=[{"name": "base"}], output="answer")


def calls(*named, **rule):
    """A rule for the first round: these functions are called, each with its arguments."""
    made = [{"name": name, "arguments": arguments} for name, arguments in named]
    return {"layer": "answer/0/rounds[0]", "tool_calls": made, **rule}


def test_what_a_model_hands_over_is_in_the_report_with_its_words(organization, publish, worker, model):
    publish(asks(NOTE))
    model.script([calls(("note", {"text": "Blue."}), answer="Look: "), {"match": ".", "answer": "That is it."}])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    details = layer_of(report).details
    assert report.output == "Look: That is it."
    assert details["emitted"] == [{"tool": "note", "payload": {"text": "Blue."}}]
    assert [each["type"] for each in details["transcript"]] == ["text", "data", "text"]


def test_each_round_and_each_call_is_recorded_and_shown(organization, publish, worker, model):
    publish(asks(NOTE))
    model.script([calls(("note", {"text": "a"}), ("note", {"text": "b"})), {"match": ".", "answer": "x"}])
    accepted = factories.accept(organization)

    worker.work()

    layer = layer_of(factories.report(organization, accepted))
    inner = [(each.path.removeprefix("answer/0/"), each.kind) for each in layer.inner]
    assert inner == [
        ("rounds[0]", "round"), ("rounds[0]/note[0]", "emit"), ("rounds[0]/note[1]", "emit"), ("rounds[1]", "round")
    ]  # fmt: skip


def test_a_tool_over_http_is_asked_what_the_model_wants_to_know(organization, publish, start_worker, model):
    publish(looking_up(headers={"X-Of": "{{base}}"}))
    model.script([calls(("lookup", {"title": "A & B", "years": [1, 2]})), {"match": ".", "answer": "Seen."}])
    requests = []

    def speak(connection):
        requests.append(read_request(connection))
        connection.sendall(answer(b'{"film": "Avatar"}'))

    with serving(speak) as url:
        accepted = factories.accept(organization, inputs=(("base", url),))
        start_worker(allowed_networks=LOOPBACK).work()

    assert factories.report(organization, accepted).output == "Seen."
    assert b"GET /v1/films?title=A+%26+B&years=1&years=2 " in requests[0]
    assert f"X-Of: {url}".encode() in requests[0]


def test_what_a_tool_sends_in_secret_no_model_reads(organization, publish, start_worker, model):
    publish(looking_up(method="POST", headers={"Authorization": "Bearer ${TOKEN}"}))
    model.script([calls(("lookup", {"title": "Avatar"})), {"match": ".", "answer": "Seen."}])
    requests = []

    def speak(connection):
        requests.append(read_request(connection))
        connection.sendall(answer(b"you are %b" % requests[0]))

    with serving(speak) as url:
        order = Order("pipeline", inputs=(("base", url),), env_vars={"TOKEN": "canary-in-a-header"})
        with db.transaction() as connection:
            accepted = acceptance.accept(connection, organization, order, uuid=uuid4(), sealer=Sealer(("k" * 32,)))
        start_worker(allowed_networks=LOOPBACK, secret_keys=("k" * 32,)).work()

    result = layer_of(factories.report(organization, accepted)).inner[1].output["content"]
    assert b"Bearer canary-in-a-header" in requests[0]
    assert f"Idempotency-Key: {accepted.uuid}/answer/0/rounds[0]/lookup[0]".encode() in requests[0]
    assert requests[0].endswith(b'{"title":"Avatar"}')
    assert ("Bearer [TOKEN]" in result, "canary" in result) == (True, False)


@pytest.mark.parametrize(
    ("said", "told"),
    [(answer(b"gone", status="404 Not Found"), "answered 404"), (b"", "broke")],
)
def test_a_call_that_fails_is_told_the_model(organization, publish, start_worker, model, said, told):
    publish(looking_up())
    model.script([calls(("lookup", {})), {"match": ".", "answer": "Sorry."}])

    with serving(saying(said)) as url:
        accepted = factories.accept(organization, inputs=(("base", url),))
        start_worker(allowed_networks=LOOPBACK).work()

    report = factories.report(organization, accepted)
    result = next(each.output for each in layer_of(report).inner if "lookup" in each.path)
    assert (report.output, result["status"], told in result["content"]) == ("Sorry.", "error", True)


def test_a_call_that_must_not_fail_fails_the_layer(organization, publish, worker, model):
    publish(looking_up(fail_fast=True))
    model.script([calls(("lookup", {})), {"match": ".", "answer": "Sorry."}])
    accepted = factories.accept(organization, inputs=(("base", "http://127.0.0.1:1"),))

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.reason, model.totals()["count"]) == ("tool_failed", 1)
    assert "may not be reached" in layer_of(report).error


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("note", {"text": 7}), "does not fit its schema"),
        (("note", "{"), "not JSON"),
        (("note", "[]"), "does not fit"),
        (("nothing", {}), "there is no tool nothing"),
        (("note", {"text": "x" * 70_000}), "65536 bytes"),
    ],
)
def test_a_call_that_makes_no_sense_is_told_the_model(organization, publish, worker, model, call, told):
    publish(asks(NOTE))
    model.script([calls(call), {"match": ".", "answer": "x"}])
    accepted = factories.accept(organization)

    worker.work()

    layer = layer_of(factories.report(organization, accepted))
    assert told in layer.inner[1].output["content"]
    assert (layer.output, layer.details["emitted"]) == ("x", [])


def test_a_model_that_never_stops_calling_fails_after_its_last_round(organization, publish, worker, model):
    publish(asks(NOTE, max_rounds=3))
    model.script([{"match": ".", "tool_calls": [{"name": "note", "arguments": {"text": "again"}}]}])
    accepted = factories.accept(organization)

    worker.work()

    assert (factories.report(organization, accepted).reason, model.totals()["count"]) == ("rounds_exhausted", 3)


def test_an_answer_of_a_schema_is_read_from_the_last_round(organization, publish, worker, model):
    schema = {"type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}
    publish(asks(NOTE, output={"type": "json_schema", "schema": schema}, retry={"attempts": 2}))
    model.script([
        calls(("note", {"text": "a"}), answer="Well…"),
        {"layer": "answer/0/rounds[1]", "answer": "no JSON", "times": 1},
        {"match": ".", "answer": '{"stars": 5}'},
    ])
    accepted = factories.accept(organization)

    worker.work()

    assert (factories.report(organization, accepted).output, model.totals()["count"]) == ({"stars": 5}, 3)


def test_what_was_paid_before_a_crash_is_not_paid_again(organization, publish, start_worker, working, model):
    publish(asks(NOTE))
    silent = {"layer": "answer/0/rounds[2]", "mode": "silent", "times": 1}
    again = {**calls(("note", {"text": "b"})), "layer": "answer/0/rounds[1]"}
    model.script([calls(("note", {"text": "a"})), again, silent, {"match": ".", "answer": "Done."}])
    accepted = factories.accept(organization)
    dying = start_worker(drain_seconds=0.1)
    work = working(dying)
    model.wait_for(lambda totals: totals["count"] == 3)

    dying.drain()
    work.result(5.0)
    start_worker().work()

    report = factories.report(organization, accepted)
    assert [len(model.calls(layer=f"answer/0/rounds[{number}]")) for number in range(3)] == [1, 1, 2]
    assert (report.output, [each["payload"] for each in layer_of(report).details["emitted"]]) == (
        "Done.", [{"text": "a"}, {"text": "b"}]
    )  # fmt: skip


def test_a_round_that_must_wait_costs_none_of_those_before_it(organization, publish, start_worker, model, settings):
    publish(asks(NOTE, retry={"attempts": 2}))
    busy = {"layer": "answer/0/rounds[1]", "status": 429, "retry_after": "30", "times": 1}
    model.script([calls(("note", {"text": "a"})), busy, {"match": ".", "answer": "Done."}])
    accepted = factories.accept(organization)
    start_worker().work()
    parked = factories.row(accepted.id)

    # As if the provider's time were over.
    redis.Redis.from_url(settings.redis_url).flushall()
    factories.change("UPDATE executions SET parked_until = now()")
    with db.transaction() as connection:
        executions.promote(connection)
    start_worker().work()

    report = factories.report(organization, accepted)
    assert (parked.status, parked.blocked_by, report.output) == ("waiting", "pacing", "Done.")
    assert [len(model.calls(layer=f"answer/0/rounds[{number}]")) for number in range(2)] == [1, 2]
    assert layer_of(report).calls == 3


def test_a_model_may_search_the_web_where_its_provider_can(organization, publish, start_worker, model):
    publish(asks({"type": "web_search", "allowed_domains": ["films.example"]}, model="demo:latency=0"))
    accepted = factories.accept(organization)

    start_worker(providers="default: {web_search: true}").work()

    (text,) = layer_of(factories.report(organization, accepted)).details["transcript"]
    assert [each["url"].split("/")[2] for each in text["citations"]] == ["films.example"]


def test_no_model_is_asked_to_search_the_web_where_its_provider_cannot(organization, publish, worker, model):
    publish(asks({"type": "web_search"}))
    accepted = factories.accept(organization)

    worker.work()

    assert (factories.report(organization, accepted).reason, model.totals()["count"]) == ("config", 0)


def test_every_round_is_in_the_books(organization, publish, worker, model):
    publish(asks(NOTE))
    model.script([calls(("note", {"text": "a"}), cached=3), {"match": ".", "answer": "x", "cached": 2, "reasoning": 1}])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    used = [call["usage"]["total_tokens"] for call in model.calls()]
    assert (report.usage.total_tokens, layer_of(report).calls) == (sum(used), 2)
    assert layer_of(report).details["tokens"] == {"cached": 5, "reasoning": 1}


def test_a_streamed_answer_may_call_tools(organization, publish, worker, model):
    publish(asks(NOTE, stream=True))
    model.script([calls(("note", {"text": "a longer text in pieces"}), answer="Look: "), {"match": ".", "answer": "x"}])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert report.output == "Look: x"
    assert layer_of(report).details["emitted"][0]["payload"] == {"text": "a longer text in pieces"}


def test_a_budget_holds_over_all_rounds(organization, publish, worker, model):
    publish(asks(NOTE, max_tokens=60))
    model.script([{"match": ".", "tool_calls": [{"name": "note", "arguments": {"text": "again"}}]}])
    accepted = factories.accept(organization, max_tokens=1500)

    worker.work()

    report = factories.report(organization, accepted)
    assert report.reason == "budget_exceeded"
    assert report.usage.total_tokens <= 1500
    assert model.totals()["count"] > 1


def test_a_model_searches_the_knowledge_of_its_organization(organization, publish, worker, model):
    with db.transaction() as connection:
        knowledge.put_folder(connection, organization, "guides", "Guides")
        knowledge.add(connection, organization, "guides", "returns.txt", None, b"Pans can be returned for 30 days.")
    worker.work("documents")
    publish(asks({"type": "knowledge", "name": "search", "folder": "guides"}))
    model.script([calls(("search", {"query": "returned pans"})), {"match": ".", "answer": "30 days."}])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    found = json.loads(layer_of(report).inner[1].output["content"])
    assert (report.output, found[0]["name"], "30 days" in found[0]["text"]) == ("30 days.", "returns.txt", True)


INNER = source(prompt_layer("Review {{film}}", name="write"), inputs=[{"name": "film", "required": True}],
               output="answer")  # fmt: skip
REVIEW = {"type": "pipeline", "name": "review", "handle": "reviews"}


def test_a_pipeline_is_a_tool_too(organization, publish, worker, model):
    publish(INNER, "reviews")
    publish(asks(REVIEW))
    model.script([calls(("review", {"film": "Avatar"})), {"match": "Review Avatar", "answer": "Blue."},
                  {"match": ".", "answer": "Told."}])  # fmt: skip
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert report.output == "Told."
    assert "answer/0/rounds[0]/review[0]/answer/write" in factories.recorded()
    assert [each.output for each in layer_of(report).inner if each.path.endswith("write")] == ["Blue."]


def test_a_tool_runs_the_version_that_was_the_latest_at_first(organization, publish, worker, model):
    publish(INNER, "reviews")
    publish(asks(REVIEW))
    accepted = factories.accept(organization)
    publish(source({"kind": "text", "value": "new"}, inputs=[{"name": "film"}], output="answer"), "reviews")
    model.script([
        calls(("review", {"film": "x"})),
        {"match": "Review x", "answer": "old"},
        {"match": ".", "answer": ""},
    ])

    worker.work()

    layer = layer_of(factories.report(organization, accepted))
    result = next(each for each in layer.inner if each.path.endswith("review[0]"))
    assert result.output == {"status": "ok", "content": "old"}
