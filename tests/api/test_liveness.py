"""What was accepted comes to its end where no worker lives: API processes do the rounds too."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.factories import source

#: A round comes each second.
BOUND_SECONDS = 1 + 4


@pytest.fixture
def until(client):
    """Ask for an execution until it has a status, for a round and its tolerance."""

    def until(accepted, status):
        deadline = time.monotonic() + BOUND_SECONDS
        while (report := client.get(f"/v2/executions/{accepted.uuid}").json)["status"] != status:
            assert time.monotonic() < deadline, report["status"]
            time.sleep(0.05)
        return report

    return until


def test_without_any_worker_a_deadline_ends_what_is_queued(organization, publish, until):
    publish(source())
    accepted = factories.accept(organization)

    factories.change("UPDATE executions SET deadline_at = now()")

    assert until(accepted, "failed")["error"]["reason"] == "deadline"


def test_without_any_worker_a_deadline_ends_what_a_dead_one_was_running(organization, publish, until):
    publish(source())
    claim = factories.running(organization, lease_seconds=0.0)

    factories.change("UPDATE executions SET deadline_at = now()")

    assert until(claim, "failed")["error"]["reason"] == "deadline"


def test_without_any_worker_what_is_due_is_queued(organization, publish, until):
    publish(source())

    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(seconds=0.5))

    until(accepted, "queued")
