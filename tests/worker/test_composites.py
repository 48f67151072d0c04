"""Layers that have others inside of them, run by a real worker: what is recorded, and what is not run again."""

import pytest

from tests import factories
from tests.factories import prompt_layer, source


def mapped(*layers, **settings):
    return source(
        {"name": "each", "kind": "map", "items": "{{films}}", "layers": list(layers), **settings},
        inputs=[{"name": "films", "type": "array"}],
        output="answer",
    )


def films(*found):
    return {"inputs": (("films", list(found)),)}


def test_a_map_asks_for_its_items_at_once_and_keeps_their_order(organization, publish, worker, model):
    publish(mapped(prompt_layer("Review {{item}}"), {"kind": "text", "value": "{{index}} {{previous}}"}))
    model.script([{"match": "Review A", "answer": "a", "latency_ms": 300}, {"match": "Review", "answer": "x"}])
    accepted = factories.accept(organization, **films("A", "B", "C"))

    worker.work()

    assert factories.report(organization, accepted).output == ["0 a", "1 x", "2 x"]
    assert factories.recorded()[-6:] == [f"answer/each[{index}]/{layer}" for index in range(3) for layer in range(2)]


def test_a_map_never_has_more_in_flight_than_it_may(organization, publish, worker, model):
    publish(mapped(prompt_layer("Review {{item}}"), concurrency=3))
    model.script([], latency_ms=50)
    factories.accept(organization, **films(*"ABCDEFGHIJ"))

    worker.work()

    assert (model.totals()["count"], model.totals()["max_in_flight"]) == (10, 3)


@pytest.mark.parametrize(("on_error", "output"), [("null", ["x", None, "x"]), ("drop", ["x", "x"])])
def test_an_item_that_fails_costs_no_other(organization, publish, worker, model, on_error, output):
    publish(mapped(prompt_layer("Review {{item}}"), on_error=on_error))
    model.script([{"match": "Review B", "status": 400}, {"match": "Review", "answer": "x"}])
    accepted = factories.accept(organization, **films("A", "B", "C"))

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.output) == ("succeeded", output)
    assert "1 of 3 items failed, the first of them [1]" in report.properties[0].layers[0].details["warning"]


def test_an_item_that_fails_fails_the_execution_and_tells_which(organization, publish, worker, model):
    publish(mapped(prompt_layer("Review {{item}}"), concurrency=1))
    model.script([{"match": "Review B", "status": 401}])
    accepted = factories.accept(organization, **films("A", "B", "C"))

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.reason, model.totals()["count"]) == ("failed", "provider_auth", 2)
    assert "answer/each[1]/0: " in report.properties[0].error


def test_a_map_goes_on_with_the_items_that_were_in_flight(organization, publish, start_worker, working, model):
    publish(mapped(prompt_layer("Review {{item}}"), concurrency=2))
    model.script([{"match": "Review C", "mode": "silent", "times": 1}, {"match": "Review", "answer": "x"}])
    accepted = factories.accept(organization, **films(*"ABCDE"))
    first = start_worker(drain_seconds=0.2)
    work = working(first)
    model.wait_for(lambda totals: totals["count"] == 5)

    first.drain()
    work.result(5.0)
    start_worker().work()

    assert factories.report(organization, accepted).output == ["x"] * 5
    assert [len(model.calls(layer=f"answer/each[{index}]/0")) for index in range(5)] == [1, 1, 2, 1, 1]


def test_a_map_in_a_map_names_both_items(organization, publish, worker):
    inner = {"kind": "map", "items": "{{row}}", "layers": [{"kind": "text", "value": "{{index}}: {{item}} of {{row}}"}]}
    publish(mapped(inner, **{"as": "row"}))
    accepted = factories.accept(organization, **films([1, 2], []))

    worker.work()

    assert factories.report(organization, accepted).output == [["0: 1 of [1,2]", "1: 2 of [1,2]"], []]


def test_a_list_that_is_too_long_fails_before_anything_is_asked(organization, publish, worker, model):
    publish(mapped(prompt_layer(), max_items=2))
    accepted = factories.accept(organization, **films(1, 2, 3))

    worker.work()

    assert (factories.report(organization, accepted).reason, model.totals()["count"]) == ("value_invalid", 0)


def looped(*layers, **settings):
    loop = {"name": "polish", "kind": "loop", "layers": list(layers), **settings}
    return source({"kind": "text", "value": "draft"}, loop, output="answer")


def test_a_loop_goes_round_until_its_condition_holds(organization, publish, worker, model):
    publish(looped(prompt_layer("{{round}} {{previous}}"), until="previous == 'good'"))
    model.script([{"match": "^1 draft$", "answer": "fair"}, {"match": "^2 fair$", "answer": "good"}])
    accepted = factories.accept(organization)

    worker.work()

    assert factories.report(organization, accepted).output == "good"
    assert factories.recorded() == ["answer/0", "answer/polish", "answer/polish[1]/0", "answer/polish[2]/0"]


def test_a_loop_goes_on_with_its_last_round(organization, publish, start_worker, working, model):
    publish(looped(prompt_layer("{{round}} {{previous}}"), until="round == `3`"))
    model.script([{"match": "^2", "mode": "silent", "times": 1}, {"match": ".", "answer": "x"}])
    accepted = factories.accept(organization)
    first = start_worker(drain_seconds=0.1)
    work = working(first)
    model.wait_for(lambda totals: totals["count"] == 2)

    first.drain()
    work.result(5.0)
    start_worker().work()

    assert factories.report(organization, accepted).status == "succeeded"
    assert [len(model.calls(layer=f"answer/polish[{number}]/0")) for number in (1, 2, 3)] == [1, 2, 1]


def test_a_loop_that_never_comes_to_its_end_fails(organization, publish, worker):
    publish(looped({"kind": "text", "value": "{{previous}}x"}, until="`false`", max_rounds=3))
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.reason, len(factories.recorded())) == ("failed", "loop_exhausted", 4)


INNER = source(
    prompt_layer("Review {{film}}", name="write"), inputs=[{"name": "film", "required": True}], output="answer"
)


def test_a_pipeline_runs_inside_of_another_under_its_path(organization, publish, worker, model):
    publish(INNER, "reviews")
    publish(source({"name": "sub", "kind": "pipeline", "handle": "reviews", "inputs": {"film": "{{title}}"}},
                   inputs=[{"name": "title"}]))  # fmt: skip
    model.script([{"match": "Review Avatar", "answer": "Blue."}])
    accepted = factories.accept(organization, inputs=(("title", "Avatar"),))

    worker.work()

    assert factories.report(organization, accepted).output == {"answer": "Blue."}
    assert factories.recorded() == ["answer/sub", "answer/sub/answer/write"]


def test_a_pipeline_that_fails_inside_of_another_fails_its_layer(organization, publish, worker, model):
    publish(INNER, "reviews")
    publish(source({"name": "sub", "kind": "pipeline", "handle": "reviews", "inputs": {"film": "x"}}))
    model.script([{"match": ".", "status": 401}])
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.status, report.reason) == ("failed", "provider_auth")
    assert "answer/sub/answer/write" in report.properties[0].error


def test_a_version_published_meanwhile_is_not_taken(organization, publish, worker, model):
    publish(INNER, "reviews")
    publish(source({"kind": "pipeline", "handle": "reviews", "inputs": {"film": "x"}}))
    accepted = factories.accept(organization)
    publish(source({"kind": "text", "value": "new"}, inputs=[{"name": "film"}], output="answer"), "reviews")
    model.script([{"match": ".", "answer": "old"}])

    worker.work()

    assert factories.report(organization, accepted).output == {"answer": "old"}


def test_inputs_that_do_not_fit_fail_the_layer_before_anything_is_asked(organization, publish, worker, model):
    publish(source(prompt_layer(), inputs=[{"name": "count", "type": "integer"}]), "counted")
    publish(source({"kind": "pipeline", "handle": "counted", "inputs": {"count": "many"}}))
    accepted = factories.accept(organization)

    worker.work()

    assert (factories.report(organization, accepted).reason, model.totals()["count"]) == ("value_invalid", 0)


@pytest.mark.parametrize(("language", "asked", "output"), [("German", 1, "in English"), ("English", 0, "Hallo")])
def test_a_merge_goes_on_with_the_branch_that_was_not_skipped(
    organization, publish, worker, model, language, asked, output
):
    publish({
        "inputs": [{"name": "language"}],
        "properties": [
            {"name": "translated", "when": "language != 'English'", "layers": [prompt_layer("Translate")]},
            {"name": "original", "when": "language == 'English'", "layers": [{"kind": "text", "value": "Hallo"}]},
            {"name": "text", "layers": [{"kind": "merge", "values": ["{{translated}}", "{{original}}"]}]},
        ],
        "output": "text",
    })
    model.script([{"match": ".", "answer": "in English"}])
    accepted = factories.accept(organization, inputs=(("language", language),))

    worker.work()

    assert (factories.report(organization, accepted).output, model.totals()["count"]) == (output, asked)


def test_a_warning_of_an_assert_is_in_the_report(organization, publish, worker):
    publish(source({"kind": "assert", "condition": "`false`", "message": "odd", "on_failure": "warn", "value": "x"}))
    accepted = factories.accept(organization)

    worker.work()

    report = factories.report(organization, accepted)
    assert (report.output, report.properties[0].layers[0].details) == ({"answer": "x"}, {"warning": "odd"})
