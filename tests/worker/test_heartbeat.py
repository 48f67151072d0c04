from dataclasses import replace
from uuid import uuid4

import pytest

from shared.errors import Stopped
from tests import factories
from tests.factories import source
from worker.heartbeat import Heartbeat
from worker.running import Running

LEASE_SECONDS = 1.2


@pytest.fixture
def running():
    return Running()


@pytest.fixture
def worker_id(settings, database, running):
    """A worker of four slots whose heart beats five times a second."""
    worker = uuid4()
    heartbeat = Heartbeat(replace(settings, lease_seconds=LEASE_SECONDS), worker, running, slots=4)
    heartbeat.start()
    yield worker
    heartbeat.close()


@pytest.fixture
def claim(organization, publish, worker_id):
    publish(source())
    factories.accept(organization)
    return factories.claim(worker_id)


def cause(run):
    with pytest.raises(Stopped) as caught:
        run.check()
    return caught.value.cause


def test_a_lease_is_renewed_for_as_long_as_the_heart_beats(worker_id, eventually):
    (first,) = factories.query("SELECT lease_until FROM workers")

    eventually(lambda: factories.query("SELECT lease_until FROM workers") > [first])


def test_a_row_that_was_deleted_is_written_again(worker_id, eventually):
    factories.change("DELETE FROM workers")

    eventually(lambda: [row.id for row in factories.query("SELECT id FROM workers")] == [worker_id])


def test_a_lease_is_given_up_at_the_end(settings, database, running):
    heartbeat = Heartbeat(settings, uuid4(), running, slots=4)
    heartbeat.start()

    heartbeat.close()

    assert factories.query("SELECT id FROM workers") == []


def test_it_knows_how_many_workers_live(settings, database, running, eventually):
    factories.enter_worker()
    factories.enter_worker(lease_seconds=-1)
    heartbeat = Heartbeat(replace(settings, lease_seconds=LEASE_SECONDS), uuid4(), running, slots=4)
    heartbeat.start()

    eventually(lambda: heartbeat.workers == 2)

    heartbeat.close()


def test_a_run_that_is_asked_to_stop_is_stopped_without_any_ring(organization, claim, running):
    with running.entered(claim) as run:
        factories.change("UPDATE executions SET cancel_requested_at = now()")

        assert run.stopping.wait(LEASE_SECONDS)

    assert cause(run) == "cancelled"


def test_a_run_that_another_attempt_has_taken_is_stopped(claim, running):
    with running.entered(claim) as run:
        factories.change("UPDATE executions SET attempt = attempt + 1, worker = gen_random_uuid()")

        assert run.stopping.wait(3 * LEASE_SECONDS)

    assert cause(run) == "lost"


def test_a_run_that_goes_on_is_left_alone(claim, running, eventually):
    (before,) = factories.query("SELECT lease_until FROM workers")

    with running.entered(claim) as run:
        eventually(
            lambda: (
                factories.query("SELECT lease_until - interval '1.5 seconds' AS then FROM workers")[0].then
                > before.lease_until
            )
        )

        run.check()
    assert factories.row(claim.id).status == "running"


def test_what_is_owned_and_not_running_here_is_given_back(claim, eventually):
    eventually(lambda: factories.row(claim.id).status == "queued")

    row = factories.row(claim.id)
    assert (row.deaths, row.attempt) == (0, 1)


def test_what_runs_here_is_not_given_back(claim, running, eventually):
    with running.entered(claim) as run:
        assert not run.stopping.wait(LEASE_SECONDS)

    assert factories.row(claim.id).attempt == 1


@pytest.fixture
def slow_commits(worker_id):
    """Every renewal of a lease takes a second and a half to commit, after its worker has read what it owns."""
    factories.change(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'"
    )
    factories.change(
        "CREATE CONSTRAINT TRIGGER linger AFTER UPDATE ON workers DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION linger()"
    )
    yield
    factories.change("DROP FUNCTION linger CASCADE")


def committing():
    return factories.query("SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'")


def test_a_run_that_came_after_the_look_is_not_taken_for_lost(
    organization, publish, worker_id, running, slow_commits, eventually
):
    publish(source())
    factories.accept(organization)
    eventually(committing)

    with running.entered(factories.claim(worker_id)) as run:
        eventually(lambda: not committing())

        assert not run.stopping.wait(LEASE_SECONDS / 6)
