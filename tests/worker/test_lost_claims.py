"""A run whose execution was taken from it stops, and is counted."""

from prometheus_client.registry import REGISTRY

from shared import db, executions
from tests import factories
from tests.factories import prompt_layer, source


def lost():
    return REGISTRY.get_sample_value("strata_claims_lost_total")


def test_what_an_operator_takes_away_is_stopped_and_run_again(
    organization, publish, worker, working, eventually, model
):
    publish(source(prompt_layer(model="demo:mode=silent")))
    accepted = factories.accept(organization)
    before = lost()
    working(worker)
    model.wait_for(lambda totals: totals["in_flight"] == 1)

    with db.transaction() as connection:
        assert executions.requeue(connection, accepted.id)

    eventually(lambda: lost() == before + 1)
    working(worker)
    model.wait_for(lambda totals: totals["in_flight"] == 1 and totals["count"] == 2)
    assert factories.row(accepted.id).attempt == 2
    factories.cancel(organization, accepted.uuid)
