"""Threads: who goes on when, and what becomes of the thread itself."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from shared import db, executions, organizations, pipelines, threads
from shared.definition import read
from shared.errors import Conflict, Invalid, NotFound
from tests import factories
from tests.factories import source
from tests.waiting import until

THREAD = uuid4()


@pytest.fixture
def pipeline(publish):
    return publish(source())


@pytest.fixture
def other(database):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "pipeline", read(source()))
        return other


def talk(organization, **details):
    return factories.accept(organization, **{"thread": THREAD, **details})


def says(claim, *, channel="default"):
    """End an execution that has said something."""
    said = {"channel": channel, "user": "Hello?", "assistant": "Hello."}
    factories.finish(claim, last=factories.result(said=said))


def state(accepted):
    row = factories.row(accepted.id)
    return row.blocked_by or row.status


def ids():
    return [row.id for row in factories.query("SELECT id FROM messages ORDER BY id")]


def fork(organization, **details):
    with db.transaction() as connection:
        return threads.fork(connection, organization, THREAD, **{"new": uuid4(), **details})


def forget(days=30.0):
    with db.transaction() as connection:
        return threads.forget(connection, days=days)


def test_executions_of_a_thread_go_on_one_after_the_other(organization, pipeline):
    first, second, third = [talk(organization) for _ in range(3)]
    assert [each.blocked_by for each in (first, second, third)] == [None, "thread", "thread"]

    factories.finish(factories.claim())

    assert [state(each) for each in (first, second, third)] == ["succeeded", "queued", "thread"]


def test_other_channels_other_threads_and_other_organizations_go_on_beside_it(organization, other, pipeline):
    talk(organization)

    beside = [talk(organization, channel="aside"), talk(organization, thread=uuid4()), talk(other)]

    assert [each.status for each in beside] == ["queued"] * 3
    assert len(factories.query("SELECT FROM threads")) == 3


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_bad_end_lets_the_next_go_too(organization, pipeline, status):
    talk(organization)
    second = talk(organization)

    factories.finish(factories.claim(), status, reason=status)

    assert state(second) == "queued"
    assert ids() == []


def test_a_cancel_lets_the_next_go_at_once(organization, pipeline):
    first, second, third = [talk(organization) for _ in range(3)]

    factories.cancel(organization, second.uuid)
    assert state(third) == "thread"
    factories.cancel(organization, first.uuid)

    assert state(third) == "queued"


def test_the_next_goes_after_a_deadline_with_the_next_sweep(organization, pipeline):
    talk(organization, deadline_seconds=1)
    second = talk(organization)
    factories.change("UPDATE executions SET deadline_at = now() WHERE status = 'queued'")
    with db.transaction() as connection:
        executions.end_overdue(connection, keep_seconds=60.0)

    assert factories.promote() == 1

    assert state(second) == "queued"


def test_what_is_put_aside_keeps_its_place(organization, pipeline):
    talk(organization)
    second = talk(organization)
    factories.park(factories.claim())

    factories.promote()

    assert state(second) == "thread"


def test_a_scheduled_one_takes_its_place_when_it_is_due(organization, pipeline):
    later = talk(organization, not_before=datetime.now(UTC) + timedelta(hours=1))
    first = talk(organization)
    assert (state(later), state(first)) == ("schedule", "queued")

    factories.change("UPDATE executions SET not_before = now() WHERE id = :id", id=later.id)
    last = talk(organization)
    factories.promote()
    assert (state(later), state(last)) == ("thread", "thread")
    factories.finish(factories.claim())

    assert (state(later), state(last)) == ("queued", "thread")


def test_who_is_let_go_still_waits_for_room_under_the_cap(organization, pipeline):
    with db.transaction() as connection:
        organizations.limit(connection, "acme", max_running=1)
    talk(organization)
    elsewhere, second = factories.accept(organization), talk(organization)

    factories.finish(factories.claim())

    assert (state(elsewhere), state(second)) == ("queued", "cap")


def test_nobody_overtakes_one_that_somebody_is_changing(organization, pipeline):
    talk(organization, deadline_seconds=1)
    second, third = talk(organization), talk(organization)
    factories.change("UPDATE executions SET deadline_at = now() WHERE status = 'queued'")
    with db.transaction() as connection:
        executions.end_overdue(connection, keep_seconds=60.0)

    with db.transaction() as changing:
        changing.execute(text("SELECT FROM executions WHERE id = :id FOR UPDATE"), {"id": second.id})
        assert factories.promote() == 0

    assert factories.promote() == 1
    assert (state(second), state(third)) == ("queued", "thread")


def test_messages_are_numbered_in_the_order_of_their_commits(organization, pipeline):
    talk(organization, channel="one")
    talk(organization, channel="other")
    one, other = factories.claim(), factories.claim()
    for claim in (one, other):
        factories.record(claim, factories.result(said={"channel": claim.channel, "user": "?", "assistant": "!"}))
    thread = threading.Thread(target=lambda: factories.finish(other))

    with db.transaction() as connection:
        executions.finish(connection, one, "succeeded", keep_seconds=60.0)
        thread.start()
        until(lambda: factories.query("SELECT FROM pg_locks WHERE NOT granted"))
        numbered = factories.query("SELECT last_value FROM messages_id_seq")[0].last_value
    thread.join(10)

    # The other one, which waited for the thread, had taken no numbers yet.
    assert ids() == [numbered - 1, numbered, numbered + 1, numbered + 2]


def test_what_was_said_is_kept_in_the_order_of_the_layers(organization, pipeline):
    talk(organization)
    claim = factories.claim()
    for path, word in (("answer/0", "one"), ("answer/1", "two")):
        factories.record(claim, factories.result(path, said={"channel": "a", "user": word, "assistant": f"re {word}"}))

    factories.finish(claim)

    said = factories.query("SELECT role, content, path, execution_uuid FROM messages ORDER BY id")
    assert [row.content for row in said] == ["one", "re one", "two", "re two"]
    assert {row.execution_uuid for row in said} == {claim.uuid}


def test_what_postgres_cannot_store_does_not_keep_an_execution_from_its_end(organization, pipeline):
    talk(organization)
    said = {"channel": "default", "user": "nul \0, half a pair \ud800", "assistant": ""}

    assert factories.finish(factories.claim(), last=factories.result(said=said))

    (only,) = factories.query("SELECT role, content FROM messages")
    assert (only.role, only.content[:4]) == ("user", "nul ")


def test_a_later_attempt_reads_what_the_first_one_read(organization, pipeline):
    talk(organization)
    talk(organization, channel="aside")
    first, aside = factories.claim(), factories.claim()
    says(aside, channel="aside")

    factories.release(first)

    assert (factories.claim().history_until, aside.history_until) == (0, 0)
    talk(organization, channel="third")
    assert factories.claim().history_until == ids()[-1]


def test_a_fork_copies_up_to_a_message_and_leaves_the_original(organization, pipeline):
    for _ in range(2):
        talk(organization)
        says(factories.claim())
    new = uuid4()

    assert fork(organization, until=ids()[1], new=new) == 2

    with db.autocommit() as connection:
        copied = threads.messages(connection, organization, new, channel=None, after=0, limit=9)
        assert threads.find(connection, organization, THREAD)["channels"][0]["messages"] == 4
    assert [(each["role"], each["execution"]) for each in copied] == [("user", None), ("assistant", None)]


def test_a_fork_wants_a_message_of_the_thread_and_a_new_name(organization, other, pipeline):
    talk(organization)
    says(factories.claim())
    last = ids()[-1]

    with pytest.raises(Invalid):
        fork(organization, until=last + 1)
    with pytest.raises(Invalid):
        fork(organization, until=last, channel="aside")
    with pytest.raises(Conflict):
        fork(organization, until=last, new=THREAD)
    with pytest.raises(NotFound):
        fork(other, until=last)


def test_a_thread_is_deleted_once_nothing_goes_on(organization, other, pipeline):
    talk(organization)
    with pytest.raises(Conflict), db.transaction() as connection:
        threads.delete(connection, organization, THREAD)
    says(factories.claim())

    with pytest.raises(NotFound), db.transaction() as connection:
        threads.delete(connection, other, THREAD)
    with db.transaction() as connection:
        threads.delete(connection, organization, THREAD)

    assert ids() == []


@pytest.mark.parametrize(
    ("days", "spoken", "going", "forgotten"),
    [(31, True, False, 1), (29, True, False, 0), (2, False, False, 1), (0.5, False, False, 0), (31, False, True, 0)],
)
def test_threads_without_use_are_forgotten(organization, pipeline, days, spoken, going, forgotten):
    talk(organization)
    if spoken:
        says(factories.claim())
    elif not going:
        factories.finish(factories.claim(), "failed", reason="provider_error")
    factories.change("UPDATE threads SET used_at = now() - make_interval(secs => :days * 86400)", days=days)

    assert forget() == forgotten
