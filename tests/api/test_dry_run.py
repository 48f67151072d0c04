"""`?dry_run=true`: nothing happens, everything is told, and what is clean never fails for how it is set up."""

import pytest
from hypothesis import HealthCheck, given, settings

from shared import rehearsals
from shared.errors import Invalid
from tests import factories
from tests.api.definitions import REVIEW, asks, pipeline
from tests.generated import INPUTS, definitions
from worker.providers import retries

PATH = "/v2/pipelines/pipeline/versions/latest/executions"
INNER = {
    "inputs": [{"name": "topic", "required": True}, {"name": "many", "type": "array"}],
    "properties": [asks("On {{topic}} and {{many}}.", name="said", max_tokens=20)],
    "output": "said",
}


@pytest.fixture
def rehearse(client, publish):
    """Publish a definition and rehearse it: `rehearse(REVIEW, film="Avatar")`."""

    def rehearse(source, body=None, **inputs):
        publish(source)
        answer = client.post(f"{PATH}?dry_run=true", json={"inputs": inputs, **(body or {})})
        assert answer.status_code == 200
        return answer.json

    return rehearse


def faults(found):
    return {each["field"] for each in found["faults"]}


def test_nothing_is_written_and_nobody_is_asked(rehearse, rows, model, publish):
    publish(REVIEW)
    before = rows()

    found = rehearse(REVIEW, film="Avatar")

    assert (found["clean"], rows(), model.calls()) == (True, before, [])


def test_what_a_model_would_be_asked_is_told(rehearse):
    source = pipeline(asks("Review {{film}}.", name="review", max_tokens=9), asks("Sum up {{review}} of {{film}}."))
    source["inputs"] = [{"name": "film"}]

    review, summary = (each["layers"][0]["question"] for each in rehearse(source, film="Avatar")["properties"])

    assert review["messages"] == [{"role": "user", "content": "Review Avatar."}]
    assert (review["models"], review["max_tokens"], review["attempts"]) == (["default/gpt-4o-mini"], 9, 4)
    assert summary["messages"] == [{"role": "user", "content": "Sum up {{review}} of Avatar."}]


def test_what_needs_no_model_is_computed(rehearse):
    upper = {"kind": "text", "operation": "case", "value": "{{title}}", "case": "upper"}
    source = {"inputs": [{"name": "title"}], "properties": [{"name": "slug", "layers": [upper]}]}

    layer = rehearse(source, title="a b")["properties"][0]["layers"][0]

    assert (layer["output"], layer["output_known"], layer["bound"]["calls"]) == ("A B", True, 0)


def test_conditions_on_inputs_are_decided(rehearse):
    source = pipeline({**asks("Hi.", name="a"), "when": "film"}, asks("Then {{a}}.", name="b"))
    source["inputs"] = [{"name": "film"}]

    runs = [[each["runs"] for each in rehearse(source, **inputs)["properties"]] for inputs in ({}, {"film": "x"})]

    assert runs == [["no", "no"], ["yes", "yes"]]


def test_all_faults_are_told_at_once(rehearse):
    source = pipeline(asks("Say {{x}} ${KEY}.", name="a", model="paid/none"))
    source["properties"][0]["layers"].append({"kind": "extract", "expression": "nothing(@)"})
    source["inputs"] = [{"name": "x", "required": True}]

    found = rehearse(source, {"priority": "never", "max_cost_usd": 1, "tags": 5}, y=1)

    assert found["clean"] is False
    assert faults(found) >= {"inputs.x", "inputs.y", "priority", "tags", "env_vars.KEY", "a/0.model", "a/1.expression"}


def test_a_model_without_a_price_is_a_fault_under_a_bound_on_the_cost(rehearse):
    assert faults(rehearse(pipeline(asks("Hi.")), {"max_cost_usd": 1})) == {"max_cost_usd"}
    assert faults(rehearse(pipeline(asks("Hi.", model="paid/small")), {"max_cost_usd": 1})) == set()


def test_pipelines_inside_are_gone_through(rehearse, publish):
    publish(INNER, "inner")
    layer = {"kind": "pipeline", "handle": "inner", "inputs": {"topic": "{{film}}"}}

    found = rehearse({"inputs": [{"name": "film"}], "properties": [{"name": "a", "layers": [layer]}]}, film="Avatar")

    inner = found["properties"][0]["layers"][0]["layers"][0]
    assert (inner["path"], inner["question"]["messages"][0]["content"]) == ("a/0/said/0", "On Avatar and .")
    assert list(found["pipelines"]) == ["inner@latest"]


def test_a_pipeline_inside_that_is_gone_is_a_fault(client, rehearse, publish):
    publish(INNER, "inner")
    layer = {"kind": "pipeline", "handle": "inner", "inputs": {"topic": "x"}}
    rehearse({"properties": [{"name": "a", "layers": [layer]}]})
    factories.change("UPDATE pipelines SET archived_at = now() WHERE handle = 'inner'")

    found = client.post(f"{PATH}?dry_run=true", json={}).json

    assert (found["clean"], found["too_large"], found["bound"]["calls"]) == (False, True, None)


def test_bounds_go_by_items_rounds_attempts_and_prices(rehearse):
    each = {
        "kind": "prompt",
        "prompt": "On {{item}}.",
        "model": "paid/small",
        "max_tokens": 10,
        "retry": {"attempts": 3},
    }
    source = {
        "inputs": [{"name": "items", "type": "array"}],
        "properties": [{"name": "a", "layers": [{"kind": "map", "items": "{{items}}", "layers": [each]}]}],
    }

    found = rehearse(source, items=["x", "y"])

    assert (found["bound"]["calls"], found["with_retries"]["calls"]) == (2, 6)
    assert found["bound"]["completion_tokens"] == 20
    assert found["bound"]["cost"] == pytest.approx((found["bound"]["prompt_tokens"] * 1 + 20 * 2) / 1e6)


def test_what_has_no_bound_says_so(rehearse):
    found = rehearse(pipeline(asks("Hi.", name="a"), asks("Then {{a}}.", name="b", max_tokens=5)))

    assert (found["bound"]["calls"], found["bound"]["tokens"], found["bound"]["cost"]) == (2, None, None)
    assert found["unbounded"] == ["a/0", "b/0"]
    assert rehearse(pipeline(asks("Hi.")), {"max_tokens": 77})["bound"]["tokens"] == 77


def test_what_is_known_to_fail_is_a_warning(rehearse):
    source = {"properties": [{"name": "a", "layers": [{"kind": "text", "operation": "join", "value": "none"}]}]}

    found = rehearse(source)

    assert (found["clean"], found["warnings"]) == (True, ["a/0: fails with value_invalid: join needs a list, not str"])


@pytest.mark.parametrize(("bound", "most"), [("MOST_STEPS", 2), ("MOST_CHARACTERS", 100)])
def test_too_much_is_not_gone_through(rehearse, monkeypatch, bound, most):
    monkeypatch.setattr(rehearsals, bound, most)

    found = rehearse(pipeline(asks("Say something.", "And something.", "And more.", max_tokens=5)))

    assert (found["clean"], found["too_large"], found["bound"]["tokens"]) == (True, True, None)


def test_another_organizations_pipeline_is_unknown(stranger, publish):
    publish(REVIEW)

    assert stranger.post(f"{PATH}?dry_run=true", json={}).status_code == 404


@pytest.fixture
def impatient(worker, monkeypatch):
    """The worker, which asks again without a pause."""
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    return worker


def within(spent, bound):
    return bound is None or spent <= bound


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(definitions(), INPUTS)
def test_what_is_clean_never_fails_for_its_set_up_and_stays_in_its_bounds(client, impatient, publish, source, inputs):
    publish(INNER, "inner")
    try:
        publish(source)
    except Invalid:
        return
    told = client.post(f"{PATH}?dry_run=true", json={"inputs": inputs}).json
    if not told["clean"]:
        return

    execution = client.post(PATH, json={"inputs": inputs}).json
    impatient.work()

    report = client.get(f"/v2/executions/{execution['uuid']}").json
    errors = [report["error"], *(each["error"] for each in report["properties"])]
    assert "config" not in [each["reason"] for each in errors if each]
    assert report["status"] in ("succeeded", "failed")
    used, retried = report["usage"]["total_tokens"], (report["retried_usage"] or {"total_tokens": 0})["total_tokens"]
    assert within(used, told["with_retries"]["tokens"])
    assert retried or within(used, told["bound"]["tokens"])
    assert within(report["cost"] or 0, told["with_retries"]["cost"])
