"""What is skipped, what goes on in spite of a failure, and what must wait, in plans read from definitions."""

import pytest

from shared import definition
from shared.errors import Parked
from shared.plan import SKIPPED, Result
from worker import engine
from worker.steps import NOTHING, Host


def text(value, **settings):
    return {"kind": "text", "value": value, **settings}


def plan(*properties, inputs=("film",), **details):
    """A plan of properties written as `(name, layers, settings)`."""
    listed = [{"name": name, "layers": layers, **settings} for name, layers, settings in properties]
    source = {"inputs": [{"name": name, "type": "array"} for name in inputs], "properties": listed, **details}
    return definition.read(source).plan


class Outside:
    """Runs each layer by giving its path, and keeps what is recorded."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.ran = []
        self.recorded = []
        self.closed = []

    def run(self, found, inputs=None, done=None, *, spawn=lambda work: False):
        host = Host(self._layer, self._record, spawn)
        return engine.run(found, {"film": None, **(inputs or {})}, done or {}, host)

    def _layer(self, layer, values, inner):
        self.ran.append(layer.path)
        answer = self.answers.get(layer.path, f"<{layer.path}>")
        if isinstance(answer, Exception):
            raise answer
        if answer == "fails":
            return Result(layer.path, passed=False, seconds=0.0, error="broken", reason="internal")
        if answer == "is spent":
            return Result(layer.path, passed=False, seconds=0.0, error="spent", reason="budget_exceeded")
        if answer is SKIPPED:
            return Result(layer.path, passed=True, seconds=0.0, skipped=True)
        return Result(layer.path, passed=True, seconds=0.0, output=answer)

    def _record(self, result, behind):
        self.recorded.append(result)
        if behind == NOTHING:
            self.closed.append(result.path)


@pytest.mark.parametrize("empty", [None, [], [""], [[]], [{}], [None], [False]])
def test_a_property_whose_condition_does_not_hold_is_skipped(empty):
    outside = Outside()

    outcome = outside.run(plan(("a", [text("x")], {"when": "film[0]"}), ("b", [text("y")], {})), {"film": empty})

    assert (outcome.document, outside.ran) == ({"b": "<b/0>"}, ["b/0"])
    assert [(each.path, each.skipped) for each in outside.recorded] == [("a", True), ("b/0", False)]


@pytest.mark.parametrize("full", [[0], ["x"], [[0]], [{"a": None}], [True]])
def test_a_property_whose_condition_holds_runs(full):
    outcome = Outside().run(plan(("a", [text("x")], {"when": "film[0]"})), {"film": full})

    assert outcome.document == {"a": "<a/0>"}


def test_skipping_spreads_to_whatever_refers_to_what_is_skipped():
    found = plan(
        ("a", [text("x")], {"when": "film"}),
        ("b", [text("{{a}}")], {}),
        ("c", [text("{{b}}")], {}),
        ("d", [text("x")], {"when": "length(c) > `1`"}),
        ("e", [text("{{film}}")], {}),
    )
    outside = Outside()

    outcome = outside.run(found)

    assert (outcome.document, outside.ran) == ({"e": "<e/0>"}, ["e/0"])


def test_a_condition_on_another_property_waits_for_it():
    outside = Outside({"a/0": []})

    outside.run(plan(("b", [text("x")], {"when": "a"}), ("a", [text("y")], {})))

    assert outside.ran == ["a/0"]


def test_a_skipped_layer_is_passed_over_and_takes_with_it_those_that_name_it():
    layers = [
        text("one", name="first"),
        text("two", name="second", when="film"),
        text("{{second}}"),
        text("{{previous}}"),
    ]
    outside = Outside()

    outcome = outside.run(plan(("a", layers, {})))

    assert (outside.ran, outcome.document) == (["a/first", "a/3"], {"a": "<a/3>"})


def test_the_value_of_a_property_is_its_last_layer_that_was_not_skipped():
    outcome = Outside().run(plan(("a", [text("one"), text("two", when="film")], {})))

    assert outcome.document == {"a": "<a/0>"}


def test_a_property_of_which_all_layers_are_skipped_is_skipped():
    found = plan(("a", [text("one", when="film")], {}), ("b", [text("{{a}}")], {}))

    assert Outside().run(found).document == {}


def test_a_layer_may_say_itself_that_it_gives_nothing():
    found = plan(("a", [text("x")], {}), ("b", [text("{{a}}")], {}))

    assert Outside({"a/0": SKIPPED}).run(found).document == {}


def test_what_is_optional_runs_with_what_there_is():
    found = plan(
        ("a", [text("x")], {"when": "film"}),
        ("b", [text("x")], {}),
        ("c", [{"kind": "merge", "values": ["{{a}}", "{{b}}"]}], {}),
    )
    outside = Outside()

    outside.run(found)

    assert outside.ran == ["b/0", "c/0"]


def test_a_condition_that_does_not_fit_its_value_fails_the_property():
    outcome = Outside().run(plan(("a", [text("x")], {"when": "length(film) > `1`"})))

    assert {name: (each.path, each.reason) for name, each in outcome.failures.items()} == {"a": ("a", "value_invalid")}


@pytest.mark.parametrize(
    ("on_error", "document"),
    [
        (None, {"a": None, "b": "<b/0>", "c": "<c/0>"}),
        ("null", {"a": None, "b": "<b/0>", "c": "<c/0>"}),
        ({"default": [1]}, {"a": [1], "b": "<b/0>", "c": "<c/0>"}),
        ("omit", {"c": "<c/0>"}),
    ],
)
def test_an_execution_goes_on_where_a_property_says_so(on_error, document):
    found = plan(("a", [text("x")], {"on_error": on_error}), ("b", [text("{{a}}")], {}), ("c", [text("x")], {}))

    outcome = Outside({"a/0": "fails"}).run(found)

    assert (outcome.document, dict(outcome.failures)) == (document, {})


def test_nothing_makes_up_for_a_budget_that_is_spent():
    found = plan(("a", [text("x")], {"on_error": None}), ("b", [text("x")], {}))
    outside = Outside({"a/0": "is spent"})

    outcome = outside.run(found)

    assert {name: each.reason for name, each in outcome.failures.items()} == {"a": "budget_exceeded"}


def test_a_property_that_failed_before_is_not_run_again():
    found = plan(("a", [text("x")], {"on_error": None}), ("b", [text("{{a}}")], {}))
    done = {"a/0": Result("a/0", passed=False, seconds=0.0, error="broken", reason="internal")}
    outside = Outside()

    assert (outside.run(found, done=done).document, outside.ran) == ({"a": None, "b": "<b/0>"}, ["b/0"])


def test_what_was_skipped_before_is_not_asked_again():
    found = plan(("a", [text("x")], {"when": "film"}), ("b", [text("x", when="film")], {}))
    done = {path: Result(path, passed=True, seconds=0.0, skipped=True) for path in ("a", "b/0")}
    outside = Outside()

    outside.run(found, {"film": [1]}, done)

    assert (outside.ran, outside.recorded) == ([], [])


def test_a_run_waits_with_its_shortest_wait_once_all_else_is_done():
    found = plan(
        ("a", [text("x")], {}), ("b", [text("x")], {}), ("c", [text("x"), text("y")], {}), ("d", [text("{{a}}")], {})
    )
    outside = Outside({"a/0": Parked(9.0), "b/0": Parked(7.0)})

    with pytest.raises(Parked) as caught:
        outside.run(found)

    assert caught.value.seconds == 7.0
    assert [each.path for each in outside.recorded] == ["c/0", "c/1"]


def test_only_the_very_last_layer_of_a_run_without_failures_closes_it():
    outside = Outside()

    outside.run(plan(("a", [text("x"), text("y")], {}), ("b", [text("{{a}}"), text("y")], {})))

    assert outside.closed == ["b/1"]


@pytest.mark.parametrize("answers", [{"a/0": "fails"}, {"b/1": "fails"}])
def test_no_layer_closes_a_run_that_fails(answers):
    outside = Outside(answers)

    outside.run(plan(("a", [text("x")], {}), ("b", [text("x"), text("y")], {})))

    assert outside.closed == []
