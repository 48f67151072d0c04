from uuid import uuid4

from shared import db, kept_answers
from shared.plan import Call
from tests import factories
from tests.factories import source
from worker import upkeep

SAID = {"channel": "default", "user": "Hello?", "assistant": "Hello."}


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


def test_calls_of_days_gone_by_are_folded_once_in_their_slot(organization, publish):
    publish(source())
    claim = factories.running(organization)
    calls = (Call("tests/model", "answered", 1), Call("tests/model", "answered", 2))
    factories.finish(claim, keep_seconds=0.0, output="done", last=factories.result(calls=calls))
    factories.change("UPDATE usage SET at = now() - interval '3 days'")
    upkeep.expire()

    assert (upkeep.fold(), upkeep.fold()) == (2, 0)
    assert [row.calls for row in factories.query("SELECT calls FROM usage_days")] == [2]


def test_kept_answers_are_deleted_once_their_time_is_over(organization):
    with db.autocommit() as connection:
        kept_answers.keep(connection, organization, bytes(32), model="default/m", answer="hello", seconds=0.0)

    upkeep.expire()

    assert factories.query("SELECT 1 FROM kept_answers") == []


def test_threads_without_use_are_deleted(organization, publish, settings):
    publish(source())
    factories.finish(factories.running(organization, thread=uuid4()), last=factories.result(said=SAID))
    factories.change("UPDATE threads SET used_at = now() - interval '31 days'")

    upkeep.bury(settings)

    assert factories.query("SELECT 1 FROM threads UNION ALL SELECT 1 FROM messages") == []
