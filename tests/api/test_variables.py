"""Variables of executions: given with an order or taken from an environment, and kept for the execution alone."""

import json
from uuid import UUID, uuid4

import pytest

from shared import acceptance, db, variables
from shared.errors import Invalid
from shared.order import Order
from shared.sealing import Sealer
from tests import factories
from tests.api.definitions import asks, pipeline

START = "/v2/pipelines/pipeline/versions/latest/executions"
VALUE = "a-value-that-is-long-enough"


def says(text, **settings):
    """A pipeline that gives a text; only values that are too short to be redacted are seen in it."""
    return pipeline({"name": "said", "layers": [{"kind": "text", "value": text, **settings}]}, output="said")


ECHOES = says("Token ${TOKEN}.")


@pytest.fixture
def set_variable(client):
    """Set a variable of an environment: `set_variable("staging", "TOKEN", "value")`."""

    def put(environment, name, value):
        client.put(f"/v2/environments/{environment}")
        assert client.put(f"/v2/environments/{environment}/variables/{name}", json={"value": value}).status_code == 200

    return put


@pytest.fixture
def said(worker):
    """Run what is queued, and give every output so far."""

    def said():
        worker.work()
        return [row.output for row in factories.query("SELECT output FROM contents ORDER BY execution_id")]

    return said


@pytest.fixture
def kept(settings):
    """The values that are kept for an execution."""

    def kept(uuid):
        found = factories.query(
            "SELECT c.variables FROM contents c JOIN executions e ON e.id = c.execution_id WHERE e.uuid = :uuid",
            uuid=uuid,
        )
        return variables.opened(found[0].variables, UUID(str(uuid)), Sealer(settings.secret_keys))

    return kept


def faults(answer):
    assert answer.status_code == 422, answer.text
    return {each["field"] for each in answer.json["errors"]}


def test_values_come_from_the_environment(client, publish, set_variable, said):
    publish(ECHOES)
    set_variable("staging", "TOKEN", "staging")
    set_variable("default", "TOKEN", "default")

    for body in ({"environment": "staging"}, {}):
        client.post(START, json=body)

    assert said() == ["Token staging.", "Token default."]


def test_what_comes_with_the_order_goes_before_the_environment(client, publish, set_variable, said):
    publish(says("${ONE} ${TWO}"))
    set_variable("staging", "ONE", "set 1")
    set_variable("staging", "TWO", "set 2")

    client.post(START, json={"environment": "staging", "env_vars": {"TWO": "given 2"}})

    assert said() == ["set 1 given 2"]


def test_a_value_is_never_scanned_for_references(client, publish, said):
    publish({**ECHOES, "inputs": [{"name": "film"}]})

    client.post(START, json={"inputs": {"film": "Avatar"}, "env_vars": {"TOKEN": "${A}"}})
    client.post(START, json={"inputs": {"film": "Avatar"}, "env_vars": {"TOKEN": "{{x}}"}})

    assert said() == ["Token ${A}.", "Token {{x}}."]


def test_every_variable_without_a_value_is_a_fault(client, publish):
    publish(pipeline(asks("${ONE} ${TWO} ${THREE}")))

    assert faults(client.post(START, json={"env_vars": {"TWO": VALUE}})) == {"env_vars.ONE", "env_vars.THREE"}


def test_an_unknown_environment_is_a_fault(client, publish):
    publish(pipeline(asks("no variables")))

    assert faults(client.post(START, json={"environment": "nowhere"})) == {"environment"}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"lower": "x"}, "env_vars.lower"),
        ({"A-B": "x"}, "env_vars.A-B"),
        ({"TOKEN": 1}, "env_vars.TOKEN"),
        ({"TOKEN": None}, "env_vars.TOKEN"),
        ({f"V{number}": "x" for number in range(51)}, "env_vars"),
        ({"TOKEN": "x" * (64 << 10)}, "env_vars"),
        ([], "env_vars"),
    ],
)
def test_what_cannot_be_given_is_a_fault(client, publish, given, field):
    publish(pipeline(asks("no variables")))

    assert any(each.startswith(field) for each in faults(client.post(START, json={"env_vars": given})))


def test_no_fault_repeats_a_value(client, publish):
    publish(pipeline(asks("${OTHER}")))

    answer = client.post(START, json={"env_vars": {"bad": VALUE, "TOKEN": VALUE}, "inputs": {"none": 1}})

    assert faults(answer) == {"env_vars.bad", "env_vars.OTHER", "inputs.none"}
    assert VALUE not in answer.text


def test_nothing_is_accepted_whose_variables_cannot_be_opened(client, publish, set_variable):
    publish(ECHOES)
    set_variable("staging", "TOKEN", VALUE)
    factories.change("UPDATE variables SET sealed = overlay(sealed PLACING '\\x0000'::bytea FROM 60)")

    answers = [
        client.post(START, json={"environment": "staging", **given}) for given in ({}, {"env_vars": {"TOKEN": "x"}})
    ]

    assert [each.status_code for each in answers] == [409, 202]
    assert len(factories.query("SELECT id FROM executions")) == 1


def test_another_organizations_environment_is_not_there(client, stranger, publish, set_variable):
    set_variable("staging", "TOKEN", VALUE)
    stranger.put("/v2/pipelines/pipeline", json=ECHOES)

    assert faults(stranger.post(START, json={"environment": "staging"})) == {"environment"}


def test_only_the_values_that_are_named_are_kept(client, publish, set_variable, kept):
    publish(ECHOES)
    set_variable("default", "UNUSED", VALUE)

    started = client.post(START, json={"env_vars": {"TOKEN": VALUE, "OTHER": VALUE}}).json

    assert kept(started["uuid"]).values == {"TOKEN": VALUE}


def test_an_execution_without_variables_keeps_none(client, publish):
    publish(pipeline(asks("no variables")))

    client.post(START, json={"env_vars": {"TOKEN": VALUE}})

    assert factories.query("SELECT variables FROM contents")[0] == (None,)


def test_what_is_accepted_keeps_its_values(client, publish, set_variable, said):
    publish(ECHOES)
    set_variable("staging", "TOKEN", "before")
    client.post(START, json={"environment": "staging"})

    set_variable("staging", "TOKEN", "since")
    client.delete("/v2/environments/staging")

    assert said() == ["Token before."]


def test_pipelines_inside_of_a_pipeline_name_variables_too(client, publish, said):
    publish(ECHOES, handle="inner")
    publish(pipeline({"name": "outer", "layers": [{"kind": "pipeline", "handle": "inner"}]}, output="outer"))

    assert faults(client.post(START, json={})) == {"env_vars.TOKEN"}
    client.post(START, json={"env_vars": {"TOKEN": "given"}})

    assert said() == ["Token given."]


def test_a_late_variable_fails_the_layer_that_names_it(client, organization, publish, worker):
    publish(pipeline(asks("no variables", name="fine"), asks("Token ${TOKEN}.", name="late")))
    order = Order("pipeline", late_variables=True)
    with db.transaction() as connection:
        accepted = acceptance.accept(connection, organization, order, uuid=uuid4())

    worker.work()

    report = client.get(f"/v2/executions/{accepted.uuid}").json
    assert [each["state"] for each in report["properties"]] == ["passed", "failed"]
    assert report["error"] == {"reason": "variable_missing", "message": "the variable TOKEN has no value"}


def test_a_late_variable_excuses_no_unknown_environment(organization, publish):
    publish(ECHOES)
    order = Order("pipeline", late_variables=True, environment="nowhere")

    with db.transaction() as connection, pytest.raises(Invalid):
        acceptance.accept(connection, organization, order, uuid=uuid4())


def test_lines_of_a_batch_have_variables_of_their_own(client, publish, set_variable, said):
    publish(ECHOES)
    set_variable("staging", "TOKEN", "set")
    lines = [{"environment": "staging"}, {"env_vars": {"TOKEN": "given"}}, {}, {"environment": "nowhere"}]
    body = "\n".join(map(json.dumps, lines))

    batch = client.post("/v2/batches?pipeline=pipeline", data=body, content_type="application/x-ndjson").json

    assert [[each["field"] for each in line["errors"]] for line in batch["faults"]] == [
        ["env_vars.TOKEN"],
        ["environment"],
    ]
    assert said() == ["Token set.", "Token given."]


def test_a_replay_has_what_was_given_and_takes_the_rest_anew(client, publish, set_variable, said):
    publish(says("${ONE} ${TWO}"))
    set_variable("staging", "ONE", "set 1")
    first = client.post(START, json={"environment": "staging", "env_vars": {"TWO": "given 2"}}).json
    said()
    set_variable("staging", "ONE", "new 1")

    replayed = client.post(f"/v2/executions/{first['id']}/replay", json={}).json

    assert (said(), replayed["environment"]) == (["set 1 given 2", "new 1 given 2"], "staging")


def test_a_replay_may_be_given_other_values(client, publish, said):
    publish(ECHOES)
    first = client.post(START, json={"env_vars": {"TOKEN": "one"}}).json
    said()

    client.post(f"/v2/executions/{first['id']}/replay", json={"env_vars": {"TOKEN": "two"}})

    assert said() == ["Token one.", "Token two."]


def test_a_replay_of_a_replay_still_has_what_was_given(client, publish, said, kept):
    publish(ECHOES)
    found = client.post(START, json={"env_vars": {"TOKEN": VALUE}}).json
    for _ in range(2):
        said()
        found = client.post(f"/v2/executions/{found['id']}/replay", json={}).json

    assert kept(found["uuid"]).given == {"TOKEN": VALUE}


def test_a_dry_run_tells_the_same_faults_and_no_value(client, publish, model):
    publish(pipeline(asks("Token ${TOKEN} ${OTHER}.")))

    found = client.post(f"{START}?dry_run=true", json={"env_vars": {"TOKEN": VALUE}, "environment": "nowhere"})
    good = client.post(f"{START}?dry_run=true", json={"env_vars": {"TOKEN": VALUE, "OTHER": VALUE}})

    assert [each["field"] for each in found.json["faults"]] == ["environment"]
    assert (good.json["clean"], model.calls()) == (True, [])
    assert good.json["properties"][0]["layers"][0]["question"]["messages"][0]["content"] == "Token ${TOKEN} ${OTHER}."
    assert VALUE not in found.text + good.text


def test_a_dry_run_counts_variables_by_their_size(client, publish):
    publish(pipeline(asks("Token ${TOKEN}.", max_tokens=5)))

    bounds = [
        client.post(f"{START}?dry_run=true", json={"env_vars": {"TOKEN": "x" * size}}).json["bound"]["prompt_tokens"]
        for size in (1000, 3000)
    ]

    assert bounds[1] - bounds[0] == 2000


def test_a_dry_run_does_not_guess_at_what_depends_on_a_variable(client, publish):
    layers = [
        {"kind": "text", "value": "${MODE}", "name": "mode"},
        {"kind": "prompt", "prompt": "Go.", "when": "mode == 'production'"},
    ]
    publish(pipeline({"name": "answer", "layers": layers}))

    found = client.post(f"{START}?dry_run=true", json={"env_vars": {"MODE": "production"}}).json

    assert [each["runs"] for each in found["properties"][0]["layers"]] == ["yes", "maybe"]


def test_the_same_key_with_other_values_is_another_request(client, publish):
    publish(ECHOES)
    headers = {"Idempotency-Key": "once"}

    answers = [
        client.post(START, json={"env_vars": {"TOKEN": value}}, headers=headers).status_code
        for value in (VALUE, VALUE, "another")
    ]

    assert answers == [202, 202, 422]
