"""What is told on a thread: by a worker, from a model's words to the log of the thread."""

import json
from uuid import uuid4, uuid5

import pytest
import redis

from shared import acceptance, broker, db, events, pipelines, thread_events
from shared.order import Order
from shared.sealing import Sealer
from tests import factories
from tests.factories import prompt_layer, source
from tests.thread_reader import Reader
from worker import conversation
from worker.conversation import Conversation


@pytest.fixture
def thread():
    return uuid4()


@pytest.fixture
def told(settings, worker, organization, thread):
    """The events of the thread, once all that was told has left."""

    def told():
        broker.connect(settings)
        with redis.Redis.from_url(settings.redis_url) as client:
            return list(events.entries(client, thread_events.log(organization, thread)))

    return told


@pytest.fixture
def run_one(organization, publish, worker, thread):
    """Run an execution of a definition on the thread and return its report."""

    def run_one(definition, **order):
        publish(definition)
        accepted = factories.accept(organization, thread=thread, **order)
        worker.work()
        return factories.report(organization, accepted)

    return run_one


def reader(found):
    reading = Reader()
    for each in found:
        reading.take(each.kind, each.fields)
    return reading


def shape(found):
    return [(each.kind, each.fields.get("segment"), each.fields.get("seq")) for each in found]


def test_an_answer_that_streams_is_told_word_by_word_as_the_execution(run_one, told):
    report = run_one(source(prompt_layer(model="demo:pace=25", stream=True), output="answer"))

    found = told()
    run = reader(found).runs[str(report.uuid)]
    assert (run.text, run.gapped, run.over) == (report.output, False, "done")
    assert len(found) > 5
    assert len(reader(found).runs) == 1


def test_an_answer_that_came_whole_is_told_at_once(run_one, told):
    report = run_one(source(prompt_layer(), output="answer"))

    found = told()
    assert shape(found) == [("reset", 0, 0), ("token", 0, 1), ("done", None, None)]
    assert found[1].fields["text"] == report.output


def test_other_answers_are_runs_of_their_own(run_one, told):
    report = run_one(source(prompt_layer(name="draft"), prompt_layer("Better: {{draft}}"), output="answer"))

    runs = reader(told()).runs
    draft = runs[str(uuid5(report.uuid, "answer/draft"))]
    assert (draft.over, draft.gapped, draft.text) == ("done", False, report.properties[0].layers[0].output)
    assert runs[str(report.uuid)].text == report.output


def test_a_document_of_several_properties_has_no_answer_of_its_own(run_one, told):
    report = run_one(source(prompt_layer()))

    found = told()
    assert [each.kind for each in found] == ["reset", "token", "done", "done"]
    assert [each.fields["runId"] for each in found[2:]] == [str(uuid5(report.uuid, "answer/0")), str(report.uuid)]


@pytest.mark.parametrize("layers", [
    [prompt_layer(stream=True), {"kind": "text", "operation": "case", "case": "upper"}],
    [{"kind": "text", "value": "said by nobody"}],
    [prompt_layer(), {"kind": "extract", "expression": "length(@)"}],
])  # fmt: skip
def test_an_output_that_no_model_has_said_is_told_as_the_answer(run_one, told, layers):
    report = run_one(source(*layers, output="answer"))

    run = reader(told()).runs[str(report.uuid)]
    expected = report.output if isinstance(report.output, str) else json.dumps(report.output)
    assert (run.text, run.gapped, run.over) == (expected, False, "done")


def test_structured_answers_stand_as_the_model_wrote_them(run_one, told, model):
    model.script([{"answer": '["one",  "two"]'}])

    report = run_one(source(prompt_layer(stream=True, output="list"), output="answer"))

    assert (report.output, reader(told()).runs[str(report.uuid)].text) == (["one", "two"], '["one",  "two"]')


def test_a_question_that_is_asked_again_begins_its_segment_anew(run_one, told, model):
    model.script([{"answer": "no list", "times": 1}, {"answer": '["one"]'}])

    report = run_one(source(prompt_layer(output="json", retry={"attempts": 2}), output="answer"))

    found = told()
    assert shape(found)[:4] == [("reset", 0, 0), ("token", 0, 1), ("reset", 0, 0), ("token", 0, 1)]
    assert reader(found).runs[str(report.uuid)].text == '["one"]'


def test_a_failure_is_told_with_its_code_and_words(run_one, told, model):
    model.script([{"status": 401}])

    report = run_one(source(prompt_layer(stream=True), output="answer"))

    end = told()[-1]
    assert (end.kind, end.fields["runId"], end.fields["code"]) == ("failure", str(report.uuid), report.reason)
    assert "asked to fail with 401" in end.fields["message"]


def test_a_failed_layer_ends_its_run_while_the_execution_goes_on(run_one, told, model):
    model.script([{"status": 400, "times": 1}, {"answer": "fine"}])
    definition = {
        "properties": [
            {"name": "first", "on_error": None, "layers": [prompt_layer(stream=True)]},
            {"name": "second", "layers": [prompt_layer("{{first}}")]},
        ],
        "output": "second",
    }

    report = run_one(definition)

    runs = reader(told()).runs
    assert runs[str(uuid5(report.uuid, "first/0"))].over == "failure"
    assert (runs[str(report.uuid)].over, runs[str(report.uuid)].text) == ("done", "fine")


def test_a_layer_s_channel_goes_before_that_of_its_execution(run_one, told):
    run_one(source(prompt_layer(channel="notes"), prompt_layer(), output="answer"), channel="support")

    assert [each.fields["channel"] for each in told() if each.kind == "token"] == ["notes", "support"]


def test_what_an_earlier_attempt_has_recorded_is_told_whole_at_the_end(
    publish, organization, thread, worker, told, settings
):
    publish(source(prompt_layer(), output="answer", name="answer"))
    claim = factories.running(organization, thread=thread)
    factories.record(claim, factories.result("answer/0", output="Once upon"))
    factories.release(claim)

    worker.work()

    run = reader(told()).runs[str(claim.uuid)]
    assert (run.text, run.gapped, run.over) == ("Once upon", False, "done")


def test_beyond_a_length_nothing_more_is_told_and_that_is_told(run_one, told, model, monkeypatch):
    monkeypatch.setattr(conversation, "MOST_CHARACTERS", 50)
    model.script([{"answer": "word " * 100, "pace_ms": 1}])

    report = run_one(source(prompt_layer(stream=True), output="answer"))

    reading = reader(told())
    assert reading.stale >= 1
    assert (reading.runs[str(report.uuid)].over, reading.runs[str(report.uuid)].gapped) == ("done", True)


def test_an_execution_on_no_thread_tells_nothing(organization, publish, worker, settings):
    publish(source(prompt_layer(stream=True), output="answer"))
    factories.accept(organization)

    worker.work()

    broker.connect(settings)
    with redis.Redis.from_url(settings.redis_url) as client:
        assert list(client.scan_iter("strata:thread:*")) == []


def tooled(**settings):
    """A prompt that may look something up, and hand something over."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    tools = [
        {"type": "pipeline", "name": "lookup", "handle": "looked-up"},
        {"type": "emit", "name": "item", "params_schema": schema},
    ]
    return source(prompt_layer(stream=True, tools=tools, **settings), output="answer")


def test_an_answer_with_tools_is_told_in_rounds_with_its_calls_between_them(publish, run_one, told, model):
    publish(source({"kind": "text", "value": "found"}), "looked-up")
    wanted = [{"name": "lookup", "arguments": {}}, {"name": "item", "arguments": {"name": "hat"}}]
    model.script([{"answer": "Let me see. ", "tool_calls": wanted, "times": 1}, {"answer": "A hat."}])

    report = run_one(tooled())

    found = told()
    run = reader(found).runs[str(report.uuid)]
    assert (run.text, run.gapped, run.over) == (report.output, False, "done")
    assert (report.output, sorted(run.texts)) == ("Let me see. A hat.", [0, 1])
    assert sorted(run.items) == [("data", "item"), ("tool_end", "lookup"), ("tool_start", "lookup")]
    assert len(reader(found).runs) == 1


def begun(organization, thread, worker):
    """An execution that another attempt has claimed, and what that attempt tells."""
    claim = factories.running(organization, thread=thread)
    with db.autocommit() as connection:
        plan = pipelines.version(connection, claim.version_id).plan
    telling = Conversation(claim.place, claim.attempt)
    telling.prepare(plan)
    telling.begin(plan.properties[0].layers[0])
    return claim, telling


def test_a_round_that_an_earlier_attempt_has_told_is_not_told_again(publish, organization, thread, worker, told, model):
    publish(source({"kind": "text", "value": "found"}), "looked-up")
    publish(tooled())
    claim, telling = begun(organization, thread, worker)
    calls = [{"id": "call_1", "name": "lookup", "arguments": "{}"}]
    said = {"text": "Let me see. ", "calls": calls, "response_id": None, "model": "default/demo"}
    telling.say_whole("answer/0/rounds[0]", said["text"])
    telling.note("answer/0/rounds[0]/lookup[0]", "tool_start", {"ref": "call_1", "tool": "lookup"})
    factories.record(claim, factories.result("answer/0/rounds[0]", output=said))
    factories.release(claim)
    model.script([{"answer": "A hat."}])

    worker.work()

    run = reader(told()).runs[str(claim.uuid)]
    assert (run.text, run.gapped, run.over) == ("Let me see. A hat.", False, "done")
    assert run.items == [("tool_start", "lookup"), ("tool_end", "lookup")]


def test_an_answer_with_tools_of_which_nothing_is_known_is_told_as_lost(publish, organization, thread, worker, told):
    publish(source({"kind": "text", "value": "found"}), "looked-up")
    publish(tooled())
    claim, _ = begun(organization, thread, worker)
    factories.record(claim, factories.result("answer/0", output="A hat."))
    factories.release(claim)

    worker.work()

    assert [each.kind for each in told()] == ["stale", "done"]


def test_a_secret_that_a_model_repeats_is_told_by_its_name(
    publish, organization, thread, start_worker, settings, model
):
    keys, secret = ("a key of the tests that seals secrets",), "canary-4f7d1c9e2b8a"
    publish(source(prompt_layer("Say ${TOKEN}.", stream=True), output="answer"))
    with db.transaction() as connection:
        order = Order("pipeline", env_vars={"TOKEN": secret}, thread=thread)
        accepted = acceptance.accept(connection, organization, order, uuid=uuid4(), sealer=Sealer(keys))
    model.script([{"answer": f"It is {secret}, that is {secret[:9]} and more.", "pace_ms": 30}])

    start_worker(secret_keys=keys).work()

    broker.connect(settings)
    with redis.Redis.from_url(settings.redis_url) as client:
        found = events.entries(client, thread_events.log(organization, thread))
    run = reader(found).runs[str(accepted.uuid)]
    assert (run.text, run.gapped) == (f"It is [TOKEN], that is {secret[:9]} and more.", False)
    assert secret not in str(found)
