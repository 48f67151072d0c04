"""Prompt layers with `cache`: the very same question of an organization is answered once for a while."""

import pytest
import redis

from shared import broker, db, definition, events, organizations, pipelines
from tests import factories
from tests.factories import prompt_layer, source

CACHE = {"cache": {"seconds": 60}}


@pytest.fixture
def ask(organization, worker):
    """Run an execution of one prompt layer and return its report: `ask(temperature=0.5)`."""

    def ask(prompt="Say something.", *, asker=organization, by=worker, **settings):
        found = definition.read(source(prompt_layer(prompt, **{**CACHE, **settings})))
        with db.transaction() as connection:
            pipelines.publish(connection, asker, "pipeline", found)
        accepted = factories.accept(asker)
        by.work()
        return factories.report(asker, accepted)

    return ask


@pytest.fixture
def other(database):
    """Another organization."""
    with db.transaction() as connection:
        return organizations.create(connection, "other")


def layer(report):
    return report.properties[0].layers[0]


def test_the_same_question_is_answered_without_a_call(ask, model):
    first, second = ask(), ask()

    assert len(model.calls()) == 1
    assert second.output == first.output
    assert layer(first).details == {"model": "default/gpt-4o-mini"}
    assert layer(second).details == {"model": "default/gpt-4o-mini", "cached": True}
    assert (layer(second).calls, layer(second).usage) == (0, None)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Say something else."},
        {"temperature": 0.5},
        {"model": "demo"},
        {"max_tokens": 1000},
        {"system": "Be brief."},
        {"output": "json"},
    ],
)
def test_another_question_is_asked(ask, model, change):
    ask()

    ask(**change)

    assert len(model.calls()) == 2


def test_what_is_no_part_of_a_question_does_not_matter(ask, model):
    ask()

    ask(retry={"attempts": 2}, timeout_seconds=5, cache={"seconds": 5})

    assert len(model.calls()) == 1


def test_nothing_is_shared_between_organizations(ask, other, model):
    ask()
    ask(asker=other)
    ask(asker=other)

    assert len(model.calls()) == 2


def test_an_answer_that_could_not_be_used_is_not_kept(ask, model):
    model.script([{"answer": "no JSON", "times": 1}, {"answer": '{"score": 1}'}])

    first = ask(output="json")
    later = [ask(output="json") for _ in range(2)]

    assert first.reason == "output_invalid"
    assert [each.output for each in later] == [{"answer": {"score": 1}}] * 2
    assert layer(later[1]).details["cached"]


@pytest.mark.parametrize("asked", ["demo:mode=length", "demo:mode=refusal", "demo:status=400"])
def test_a_failure_is_not_kept(ask, model, asked):
    ask(model=asked)
    ask(model=asked)

    assert len(model.calls()) == 2


def test_an_answer_is_not_kept_longer_than_results_are(ask, start_worker, settings):
    ask(by=start_worker(result_seconds=5.0), cache={"seconds": 3600})

    (kept,) = factories.query("SELECT extract(epoch FROM expires_at - kept_at) AS seconds FROM kept_answers")
    assert float(kept.seconds) == pytest.approx(5.0, abs=0.5)


def test_an_answer_whose_time_is_over_is_asked_for_again(ask, model):
    ask()
    factories.change("UPDATE kept_answers SET expires_at = now()")

    assert "cached" not in layer(ask()).details
    assert len(model.calls()) == 2


def test_a_kept_answer_is_told_as_a_stream_where_that_is_wanted(ask, settings):
    first = ask()

    second = ask(stream=True)

    broker.connect(settings)
    with redis.Redis.from_url(settings.redis_url) as client:
        told = [each.fields["text"] for each in events.after(client, second.uuid) if each.kind == "delta"]
    assert told == [first.output["answer"]]


def test_a_fallback_s_answer_stands_for_the_fallback_alone(ask, model):
    asked = {"model": "demo:status=400", "fallback": ["demo"]}
    model.script([{"model": "demo:status=400", "status": 403}])

    first, second = ask(**asked), ask(**asked)

    assert [call["model"] for call in model.calls()] == ["demo:status=400", "demo", "demo:status=400"]
    assert layer(first).details["model"] == layer(second).details["model"] == "default/demo"
    assert layer(second).details["cached"]
