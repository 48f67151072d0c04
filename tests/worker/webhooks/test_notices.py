"""What is told of executions, and to whom."""

import pytest
from standardwebhooks import Webhook

from shared import db, executions, webhooks
from tests import factories
from tests.worker.webhooks.conftest import rows
from worker import upkeep


def test_an_end_is_told_to_those_who_want_it(listen, receiver, ended, worker):
    _, secret = listen(receiver.url)
    found = ended()

    worker.work("webhooks")

    [heard] = receiver.heard
    told = Webhook(secret).verify(heard.body, heard.headers)
    assert (told["type"], told["data"]["uuid"], told["data"]["status"]) == (
        "execution.ended",
        str(found.uuid),
        "succeeded",
    )
    assert told["data"]["pipeline"]["handle"] == "pipeline"
    assert told["data"]["ended_at"].endswith("Z")
    assert [(row.status, row.attempts) for row in rows()] == [("delivered", 1)]


@pytest.mark.parametrize("way", ["finished", "cancelled", "overdue", "lost"])
def test_an_end_is_owed_whatever_ends_it(way, organization, listen, ended, receiver):
    listen(receiver.url)
    if way == "finished":
        ended("failed")
    elif way == "cancelled":
        factories.cancel(organization, factories.accept(organization).uuid)
    elif way == "overdue":
        factories.accept(organization)
        factories.change("UPDATE executions SET deadline_at = now() - interval '1 s'")
        with db.transaction() as connection:
            executions.end_overdue(connection, keep_seconds=60)
    else:
        factories.running(organization, lease_seconds=0.0)
        factories.rescue(max_deaths=1)

    assert [(row.event, row.data["status"] == "succeeded") for row in rows()] == [("execution.ended", False)]


def test_nothing_is_owed_to_others(organization, listen, ended, receiver):
    listen(receiver.url, environment="staging")
    listen(receiver.url, events=["document.ended"])
    disabled, _ = listen(receiver.url)
    with db.transaction() as connection:
        webhooks.change(connection, organization, disabled.uuid, enabled=False)

    ended()

    assert rows() == []


def test_an_end_in_an_environment_is_told_there(organization, listen, receiver, ended, worker):
    factories.change("INSERT INTO environments (organization_id, name) VALUES (:id, 'staging')", id=organization)
    listen(receiver.url + "/staging", environment="staging")
    listen(receiver.url + "/default")

    ended(environment="staging")
    worker.work("webhooks")

    assert [each.path for each in receiver.heard] == ["/staging"]


def test_soon_expiring_results_are_told_of_once(organization, listen, receiver, ended, settings):
    listen(receiver.url, events=["execution.expiring"])
    early = ended()
    ended()
    factories.change("UPDATE executions SET expires_at = now() + interval '59 m' WHERE id = :id", id=early.id)
    factories.change("UPDATE executions SET expires_at = now() + interval '61 m' WHERE id <> :id", id=early.id)

    counts = []
    for _ in range(2):
        factories.change("DELETE FROM duties")
        counts.append(upkeep.warn(settings))

    assert counts == [1, 0]
    assert [(row.event, row.subject) for row in rows()] == [("execution.expiring", early.uuid)]
