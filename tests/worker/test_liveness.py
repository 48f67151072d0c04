"""A worker does the rounds that keep accepted work going, whether or not there is a broker."""

from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.factories import source


@pytest.fixture
def unbrokered(settings):
    """A worker whose broker is away, with its duties."""
    return {"redis_url": "redis://127.0.0.1:1"}


def test_an_execution_of_a_dead_worker_is_rescued_without_a_broker(
    organization, publish, start_worker, unbrokered, eventually
):
    publish(source())
    claim = factories.running(organization, lease_seconds=0.0)

    start_worker(**unbrokered)

    eventually(lambda: factories.row(claim.id).status == "queued")


def test_a_deadline_ends_what_waits_without_a_broker(organization, publish, start_worker, unbrokered, eventually):
    publish(source())
    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(hours=1))
    factories.change("UPDATE executions SET deadline_at = now()")

    start_worker(**unbrokered)

    eventually(lambda: factories.row(accepted.id).status == "failed")


def test_an_execution_is_promoted_when_it_is_due_without_a_broker(
    organization, publish, start_worker, unbrokered, eventually
):
    publish(source())
    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(seconds=0.5))

    start_worker(**unbrokered)

    eventually(lambda: factories.row(accepted.id).status == "queued")
