"""How far properties are told to be, from plans and what is recorded of them."""

import pytest

from shared import definition, states
from shared.report import LayerReport


def text(value, **settings):
    return {"kind": "text", "value": value, **settings}


def plan(*properties):
    """A plan of properties written as `(name, layers, settings)`, with an input `film`."""
    listed = [{"name": name, "layers": layers, **settings} for name, layers, settings in properties]
    return definition.read({"inputs": [{"name": "film"}], "properties": listed}).plan


def recorded(**by_path):
    """Results by path, `/` written as two underscores: `a__0="passed"`."""
    found = {path.replace("__", "/"): state for path, state in by_path.items()}
    return {
        path: LayerReport(1, path, None, "text", state, output=f"<{path}>" if state == "passed" else None)
        for path, state in found.items()
    }


def told(found, status="running", **by_path):
    reports = states.properties(found, status, recorded(**by_path), begun=True)
    return {each.name: (each.state, [layer.state for layer in each.layers], each.gives) for each in reports}


CHAIN = plan(("a", [text("x")], {"when": "film"}), ("b", [text("{{a}}"), text("y")], {}), ("c", [text("z")], {}))


def test_what_is_skipped_by_its_condition_takes_with_it_what_refers_to_it():
    assert told(CHAIN, a="skipped") == {
        "a": ("skipped", ["skipped"], "nothing"),
        "b": ("skipped", ["skipped", "skipped"], "nothing"),
        "c": ("running", ["running"], "open"),
    }


@pytest.mark.parametrize(
    ("on_error", "after"),
    [
        ("fail", ("skipped", ["skipped"], "never")),
        ("omit", ("skipped", ["skipped"], "nothing")),
        (None, ("running", ["running"], "open")),
    ],
)
def test_what_a_failure_means_for_others_is_what_the_property_says(on_error, after):
    found = plan(("a", [text("x")], {"on_error": on_error}), ("b", [text("{{a}}")], {}))

    assert told(found, a__0="failed")["b"] == after


def test_a_property_that_failed_and_has_another_value_shows_both():
    found = plan(("a", [text("x")], {"on_error": {"default": 7}}))

    (report,) = states.properties(found, "succeeded", recorded(a__0="failed"), begun=True)

    assert (report.state, report.value, report.gives) == ("failed", 7, "value")


def test_a_property_whose_budget_is_spent_has_no_other_value():
    found = plan(("a", [text("x")], {"on_error": {"default": 7}}))
    spent = LayerReport(1, "a/0", None, "text", "failed", error="spent", reason="budget_exceeded")

    (report,) = states.properties(found, "failed", {"a/0": spent}, begun=True)

    assert (report.state, report.value, report.gives) == ("failed", None, "never")


def test_a_layer_that_is_passed_over_is_skipped_and_the_one_before_gives_the_value():
    found = plan(("a", [text("x"), text("y", name="more", when="film"), text("{{more}}")], {}))

    (report,) = states.properties(found, "succeeded", recorded(a__0="passed", a__more="skipped"), begun=True)

    assert (report.state, report.value) == ("passed", "<a/0>")
    assert [layer.state for layer in report.layers] == ["passed", "skipped", "skipped"]


def test_a_property_goes_on_behind_a_layer_that_is_passed_over():
    found = plan(("a", [text("x"), text("y", when="film"), text("z")], {}))

    assert told(found, a__0="passed", a__1="skipped") == {"a": ("running", ["passed", "skipped", "running"], "open")}


def test_all_layers_skipped_is_a_property_skipped():
    found = plan(("a", [text("y", when="film")], {}), ("b", [text("{{a}}")], {}))

    assert {name: each[0] for name, each in told(found, a__0="skipped").items()} == {"a": "skipped", "b": "skipped"}


def test_a_merge_runs_beside_what_is_skipped_and_not_beside_what_failed():
    found = plan(
        ("a", [text("x")], {"when": "film"}),
        ("b", [text("x")], {}),
        ("c", [{"kind": "merge", "values": ["{{a}}", "{{b}}"]}], {}),
    )

    assert told(found, a="skipped", b__0="passed")["c"][0] == "running"
    assert told(found, a="skipped", b__0="failed")["c"] == ("skipped", ["skipped"], "never")


def test_after_the_end_what_was_not_recorded_was_stopped_or_never_ran():
    found = plan(("a", [text("x"), text("y")], {}), ("b", [text("{{a}}")], {}))

    assert told(found, "cancelled", a__0="passed") == {
        "a": ("stopped", ["passed", "stopped"], "open"),
        "b": ("skipped", ["skipped"], "never"),
    }
