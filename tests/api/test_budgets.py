"""What may be spent on an execution, as callers ask for it."""

from decimal import Decimal

import pytest

from shared.providers import Price
from tests import factories
from tests.factories import prompt_layer, source

PATH = "/v2/pipelines/pipeline/versions/latest/executions"


@pytest.fixture
def priced(app, monkeypatch):
    """Give models a price: `priced("default/demo")`."""
    prices = app.extensions["strata"].providers.prices

    def priced(*names):
        for name in names:
            monkeypatch.setitem(prices, name, Price(Decimal(1), Decimal(2)))

    return priced


def test_bounds_are_kept_and_told(client, publish, priced):
    publish(source(prompt_layer(model="demo")))
    priced("default/demo")

    answer = client.post(PATH, json={"max_cost_usd": 0.1, "max_tokens": 500})

    assert (answer.status_code, answer.json["max_cost_usd"], answer.json["max_tokens"]) == (202, 0.1, 500)
    row = factories.row(answer.json["id"])
    assert (row.max_cost_usd, row.max_tokens) == (Decimal("0.1"), 500)


def test_nothing_is_bounded_by_default(client, publish):
    publish(source())

    answer = client.post(PATH, json={})

    assert (answer.json["max_cost_usd"], answer.json["max_tokens"]) == (None, None)


@pytest.mark.parametrize(
    "bounds",
    [{"max_cost_usd": wrong} for wrong in (0, -1, 1e-11, 1e9, 1e300, "1", True, None, [])]
    + [{"max_tokens": wrong} for wrong in (0, -1, 1.5, "1", True, None, 1 << 54)],
    ids=str,
)
def test_bounds_that_make_no_sense_are_refused(client, publish, bounds):
    publish(source())

    answer = client.post(PATH, json=bounds)

    assert (answer.status_code, [each["field"] for each in answer.json["errors"]]) == (422, list(bounds))


def test_a_cost_cannot_be_bounded_where_a_model_has_no_price(client, publish, priced):
    publish(source(prompt_layer(model="demo", fallback=["other", "default/third"])))
    priced("default/demo", "default/third")

    answer = client.post(PATH, json={"max_cost_usd": 0.1})

    assert answer.status_code == 422
    message = "cannot be kept: the model default/other has no price"
    assert answer.json["errors"] == [{"field": "max_cost_usd", "message": message}]


def test_models_inside_of_layers_and_of_other_pipelines_need_prices_too(client, publish):
    publish(source(prompt_layer(model="deep")), "inner")
    layers = [prompt_layer(model="mapped")]
    publish(
        source(
            {"kind": "map", "name": "each", "items": "{{list}}", "layers": layers},
            {"kind": "pipeline", "name": "run", "handle": "inner"},
            inputs=[{"name": "list", "type": "array", "default": []}],
        )
    )

    answer = client.post(PATH, json={"max_cost_usd": 0.1})

    assert {each["message"].split()[5] for each in answer.json["errors"]} == {"default/deep", "default/mapped"}


def test_tokens_can_be_bounded_without_a_price(client, publish):
    publish(source())

    assert client.post(PATH, json={"max_tokens": 10}).status_code == 202


def test_what_runs_again_may_spend_as_much_unless_it_is_told_otherwise(client, publish):
    publish(source())
    first = client.post(PATH, json={"max_tokens": 10}).json
    factories.finish(factories.claim(), "failed", reason="budget_exceeded")

    again = client.post(f"/v2/executions/{first['uuid']}/replay", json={}).json
    more = client.post(f"/v2/executions/{first['uuid']}/repair", json={"max_tokens": 99}).json

    assert (again["max_tokens"], more["max_tokens"]) == (10, 99)


def test_lines_of_a_batch_have_bounds_of_their_own(client, publish):
    publish(source())
    lines = [{"pipeline": "pipeline", "max_tokens": 7}, {"pipeline": "pipeline", "max_cost_usd": 1}]

    answer = client.post("/v2/batches", json=lines)

    assert [each["line"] for each in answer.json["faults"]] == [2]
    assert [row.max_tokens for row in factories.query("SELECT max_tokens FROM executions")] == [7]
