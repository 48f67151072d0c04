"""What is counted of deaths, failures and hints."""

from contextlib import suppress
from dataclasses import replace

import pytest
from prometheus_client.registry import REGISTRY

from shared import db, liveness
from shared.hints import Courier
from tests import factories
from tests.factories import source


@pytest.fixture
def counted():
    """How much a counter has grown since the beginning of the test."""
    before = {(sample.name, str(sample.labels)): sample.value for each in REGISTRY.collect() for sample in each.samples}

    def counted(name, **labels):
        return REGISTRY.get_sample_value(name, labels) - before.get((name, str(labels)), 0)

    return counted


def go_round(settings, duty):
    with db.transaction() as connection:
        liveness.duties_of(settings)[duty](connection)


def test_what_is_taken_from_dead_workers_is_counted_by_what_became_of_it(organization, publish, settings, counted):
    publish(source())
    for deaths in (0, 0, 2):
        claim = factories.running(organization, lease_seconds=-1)
        factories.change("UPDATE executions SET deaths = :deaths WHERE id = :id", deaths=deaths, id=claim.id)

    # Nobody is taken for dead before Postgres has been up for a lease.
    go_round(replace(settings, lease_seconds=0.001), "rescue")

    assert counted("strata_executions_rescued_total", outcome="queued") == 2
    assert counted("strata_executions_rescued_total", outcome="failed") == 1
    assert counted("strata_executions_failed_total", reason="worker_lost") == 1


def test_deadlines_that_are_over_are_counted_as_failures(organization, publish, settings, counted):
    publish(source())
    factories.accept(organization)
    factories.change("UPDATE executions SET deadline_at = now() - interval '1 s'")

    go_round(settings, "deadlines")

    assert counted("strata_executions_failed_total", reason="deadline") == 1


def test_failures_are_counted_by_their_reason_and_successes_are_none(organization, publish, counted):
    publish(source())
    factories.finish(factories.running(organization))
    factories.finish(factories.running(organization), "failed", reason="internal", error="broke")

    assert counted("strata_executions_failed_total", reason="internal") == 1


def test_a_failure_whose_commit_is_rolled_back_is_not_counted(organization, publish, settings, counted):
    publish(source())
    factories.accept(organization)
    factories.change("UPDATE executions SET deadline_at = now() - interval '1 s'")

    def broken(connection):
        liveness.duties_of(settings)["deadlines"](connection)
        raise ZeroDivisionError

    with suppress(ZeroDivisionError), db.transaction() as connection:
        broken(connection)

    assert counted("strata_executions_failed_total", reason="deadline") == 0


def test_hints_that_never_leave_are_counted(counted):
    courier = Courier("redis://127.0.0.1:1")
    for _ in range(3):
        courier.send("INCR", "never")
    courier.close()

    assert counted("strata_hints_dropped_total") == 3
