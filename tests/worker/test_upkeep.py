from tests import factories
from tests.factories import source
from worker import upkeep


def expired(organization):
    factories.finish(factories.running(organization), keep_seconds=0.0, output="done")


def test_expiry_deletes_what_has_expired(organization, publish):
    publish(source())
    expired(organization)

    assert upkeep.expire() == 1
    assert factories.query("SELECT 1 FROM contents") == []


def test_expiry_that_somebody_has_done_is_not_done_again(organization, publish):
    publish(source())
    expired(organization)
    factories.change("INSERT INTO duties (duty, slot) VALUES ('expiry', :slot)", slot=2**62)

    assert upkeep.expire() == 0
    assert factories.query("SELECT 1 FROM contents")


def test_tombstones_and_workers_long_gone_are_buried(organization, publish, settings):
    publish(source())
    expired(organization)
    upkeep.expire()
    factories.change("UPDATE executions SET expires_at = now() - interval '31 days'")
    factories.change("UPDATE workers SET lease_until = now() - interval '2 hours'")

    assert upkeep.bury(settings) == 1
    assert factories.query("SELECT 1 FROM executions UNION ALL SELECT 1 FROM workers") == []
