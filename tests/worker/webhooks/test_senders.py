"""Senders that share what is due: how many send to a webhook at once, who takes what, and what a dead one leaves."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import uuid4

from shared import db, deliveries
from tests import factories
from tests.waiting import until
from tests.worker.webhooks.conftest import attempts, rows


@contextmanager
def sending(worker, threads):
    """Have threads of a worker send beside the test."""
    leaving = threading.Event()

    def send():
        while not leaving.wait(0.05):
            worker.work("webhooks")

    running = [threading.Thread(target=send) for _ in range(threads)]
    for each in running:
        each.start()
    try:
        yield
    finally:
        leaving.set()
        for each in running:
            each.join()


def test_a_receiver_that_stalls_holds_up_nobody_else(listen, receiver, ended, start_worker):
    listen(receiver.url + "/slow")
    listen(receiver.url + "/well")
    worker = start_worker(queues=("webhooks",), worker_concurrency=20)
    for _ in range(20):
        ended()

    with sending(worker, 12):
        until(lambda: len(receiver.bodies("/well")) == 20)
        until(lambda: len(receiver.bodies("/slow")) == deliveries.PLACES)
        receiver.released.set()
        until(lambda: {row.status for row in rows()} == {"delivered"}, seconds=30.0)


def test_a_webhook_has_no_more_on_its_way_than_it_has_places(listen, receiver, ended, start_worker):
    listen(receiver.url + "/slow")
    for _ in range(12):
        ended()
    senders = [factories.enter_worker() for _ in range(2)]
    taken = []

    def take(sender):
        with db.autocommit() as connection:
            taken.append(len(deliveries.claim(connection, sender, many=3)))

    for number in range(4):
        take(senders[number % 2])

    assert taken == [3, 3, 2, 0]
    assert {row.place for row in rows() if row.status == "sending"} == set(range(1, deliveries.PLACES + 1))


def test_senders_that_race_take_no_delivery_and_no_place_twice(listen, receiver, ended):
    listen(receiver.url)
    for _ in range(12):
        ended()
    gate = threading.Barrier(4)

    def take(sender):
        gate.wait(5)
        found = []
        for _ in range(20):
            with suppress(deliveries.Raced), db.autocommit() as connection:
                found += deliveries.claim(connection, sender, many=2)
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [each.id for found in pool.map(take, [uuid4() for _ in range(4)]) for each in found]

    assert len(taken) == len(set(taken)) == deliveries.PLACES


def test_what_is_due_is_taken_first_of_the_webhook_with_the_least_on_its_way(listen, receiver, ended):
    listen(receiver.url + "/one")
    ended()
    ended()
    listen(receiver.url + "/two")
    ended()

    with db.autocommit() as connection:
        taken = deliveries.claim(connection, factories.enter_worker(), many=2)

    assert sorted(each.url[-4:] for each in taken) == ["/one", "/two"]


def test_a_webhook_that_fails_has_one_place(listen, receiver, ended):
    listen(receiver.url)
    factories.change("UPDATE webhooks SET failing_since = now()")
    ended()
    ended()
    sender = factories.enter_worker()

    with db.autocommit() as connection:
        taken = [len(deliveries.claim(connection, sender, many=2)) for _ in range(2)]

    assert taken == [1, 0]


def test_what_a_sender_had_that_died_is_sent_by_another(listen, receiver, ended, worker):
    listen(receiver.url)
    ended()
    with db.autocommit() as connection:
        [lost] = deliveries.claim(connection, factories.enter_worker())
    factories.change("UPDATE deliveries SET lease_until = now() WHERE status = 'sending'")

    with db.autocommit() as connection:
        assert deliveries.take_back(connection) == 1
    worker.work("webhooks")

    assert receiver.heard[0].headers["webhook-id"] == str(lost.uuid)
    assert [(each.number, each.status is None) for each in attempts()] == [(1, True), (2, False)]


def test_a_sender_that_comes_back_late_writes_nothing(listen, receiver, ended, worker):
    listen(receiver.url)
    ended()
    zombie = factories.enter_worker()
    with db.autocommit() as connection:
        [lost] = deliveries.claim(connection, zombie)
        factories.change("UPDATE deliveries SET lease_until = now() WHERE status = 'sending'")
        deliveries.take_back(connection)
    worker.work("webhooks")

    with db.autocommit() as connection:
        written = deliveries.record(connection, lost, zombie, deliveries.Outcome(0.1, again_seconds=5.0))

    assert not written
    assert rows()[0].status == "delivered"
