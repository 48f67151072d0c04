"""What is owed, and the permits for it, against the tables and the broker themselves."""

from contextlib import suppress
from uuid import uuid4

import pytest
import redis

from shared import broker, db, deliveries, liveness, webhooks
from shared.sealing import Sealer
from tests import factories
from tests.factories import source

SEALER = Sealer(("a key of the tests that seals secrets",))


@pytest.fixture
def webhook(organization):
    """A webhook of the organization that wants everything."""
    with db.transaction() as connection:
        found, _ = webhooks.create(
            connection,
            organization,
            SEALER,
            url="https://1.1.1.1/",
            dialect="standard",
            events=list(webhooks.EVENTS),
        )
    return found


@pytest.fixture
def permits(settings, database):
    """Count the permits of the queue, once every hint so far has left this process."""
    with redis.Redis.from_url(settings.redis_url) as client:

        def count():
            broker.close()
            broker.connect(settings)
            found = client.llen("webhooks")
            client.delete("webhooks")
            return found

        yield count


def owe(organization, event="document.ended", subject=None, environment=None):
    with db.transaction() as connection:
        return webhooks.owe(connection, organization, event, subject or uuid4(), {"id": "1"}, environment)


def test_what_is_owed_is_owed_once(organization, webhook):
    subject = uuid4()

    assert [owe(organization, subject=subject) for _ in range(2)] == [1, 0]


def test_a_folder_is_told_of_as_often_as_it_is_ready(organization, webhook):
    subject = uuid4()

    assert [owe(organization, "knowledge.ended", subject) for _ in range(2)] == [1, 1]


def test_what_belongs_to_no_environment_is_owed_to_all(organization, webhook):
    assert owe(organization) == 1
    assert owe(organization, environment="default") == 1
    assert owe(organization, environment="staging") == 0


def test_what_is_rolled_back_is_not_owed(organization, webhook, permits):
    with suppress(ZeroDivisionError), db.transaction() as connection:
        webhooks.owe(connection, organization, "document.ended", uuid4(), {})
        raise ZeroDivisionError

    assert factories.query("SELECT 1 FROM deliveries") == []
    assert permits() == 0


def test_a_permit_leaves_with_what_is_owed(organization, webhook, permits):
    owe(organization)

    assert permits() == 1


def test_a_permit_leaves_with_an_end_where_somebody_listens(organization, webhook, publish, permits):
    publish(source())
    factories.finish(factories.running(organization), output="done")

    assert permits() == 1


def test_the_sweep_makes_up_for_lost_permits(organization, webhook, permits):
    factories.enter_worker(queues=("webhooks",))
    for _ in range(3):
        owe(organization)
    permits()

    with db.transaction() as connection:
        liveness.permits(connection, {"webhooks": lambda found: deliveries.backlog(found, at_most=2)})

    assert permits() == 2


def test_what_waits_for_its_time_gets_no_permit(organization, webhook):
    owe(organization)
    factories.change("UPDATE deliveries SET due_at = now() + interval '1 h'")

    with db.autocommit() as connection:
        assert deliveries.backlog(connection, at_most=10) == 0
        assert deliveries.lateness(connection) == {"pending": 1, "oldest_seconds": 0.0}


def test_an_organization_has_only_so_many_webhooks(organization, webhook, monkeypatch):
    monkeypatch.setattr(webhooks, "MOST", 1)

    with pytest.raises(webhooks.Conflict), db.transaction() as connection:
        webhooks.create(connection, organization, SEALER, url="https://1.1.1.1/", dialect="standard", events=[])
