from uuid import uuid4

from shared import db, workers
from tests import factories
from tests.factories import source


def ask(function, *arguments, **options):
    with db.transaction() as connection:
        return function(connection, *arguments, **options)


def test_a_live_worker_s_slots_count_for_each_of_its_queues(database):
    factories.enter_worker(slots=4, queues=("onsite", "normal"))
    factories.enter_worker(slots=2, queues=("normal",))

    assert ask(workers.slots) == {"onsite": 4, "normal": 6}


def test_a_dead_worker_s_slots_do_not_count(database):
    factories.enter_worker(lease_seconds=0.0)

    assert ask(workers.slots) == {}


def test_a_renewed_lease_holds(database):
    worker = factories.enter_worker(lease_seconds=0.0)

    assert ask(workers.renew, worker, lease_seconds=60)
    assert ask(workers.slots)


def test_a_lease_that_is_gone_cannot_be_renewed(database):
    assert not ask(workers.renew, uuid4(), lease_seconds=60)


def test_a_worker_that_leaves_has_no_lease(database):
    worker = factories.enter_worker()

    ask(workers.leave, worker)

    assert ask(workers.slots) == {}


def test_a_worker_owns_what_it_runs(organization, publish):
    publish(source())
    worker = factories.enter_worker()
    factories.accept(organization)
    factories.accept(organization)
    claim = factories.claim(worker)
    factories.cancel(organization, claim.uuid)

    assert ask(workers.owned, worker) == {claim.id: (1, True)}
    assert ask(workers.owned, uuid4()) == {}


def test_the_backlog_is_counted_up_to_a_number(organization, publish):
    publish(source())
    for _ in range(3):
        factories.accept(organization, queue="low")
    factories.accept(organization)

    assert ask(workers.backlog, at_most=2) == {"onsite": 0, "normal": 1, "low": 2}


def test_a_worker_long_gone_that_owns_nothing_is_forgotten(organization, publish):
    publish(source())
    factories.running(organization)
    factories.enter_worker()
    factories.change("UPDATE workers SET lease_until = now() - interval '2 hours'")
    factories.enter_worker(lease_seconds=0.0)

    assert ask(workers.forget) == 1
