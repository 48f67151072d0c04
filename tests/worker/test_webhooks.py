"""Deliveries to a sink that is well, fails, stalls, lies or dies; what was told is the sink's own book."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from uuid import uuid4

import pytest
from promptjuggler.webhook import verify_webhook_signature
from standardwebhooks import Webhook

from shared import db, deliveries, executions, webhooks
from shared.deliveries import PAUSES
from shared.sealing import Sealer
from tests import factories, sink
from tests.factories import source
from worker import delivery, upkeep

SECRET_KEYS = ("a key of the tests that seals secrets",)
SEALER = Sealer(SECRET_KEYS)
#: A pause is so much longer or shorter at most, and what a busy machine takes to write it down.
TOLERANCE, WRITING_SECONDS = 0.1, 2.0


@pytest.fixture
def receiver():
    """A sink."""
    with sink.serving() as running:
        yield running


@pytest.fixture
def settings(settings):
    """Settings that may reach this machine, and seal."""
    return replace(settings, allowed_networks=("127.0.0.0/8",), secret_keys=SECRET_KEYS)


@pytest.fixture
def listen(organization):
    """Make a webhook: `listen(url, events=(…), dialect=…)`; returns it with its secret."""

    def listen(url, events=("execution.ended",), dialect="standard", **details):
        with db.transaction() as connection:
            return webhooks.create(
                connection, organization, SEALER, url=url, dialect=dialect, events=list(events), **details
            )

    return listen


@pytest.fixture
def ended(organization, publish):
    """End an execution, of a pipeline that gives one value; returns it."""
    publish(source(output="answer"))

    def ended(status="succeeded", **details):
        found = factories.running(organization, **details)
        factories.finish(found, status, output="done", **({"reason": "internal"} if status == "failed" else {}))
        return found

    return ended


def rows():
    return factories.query("SELECT *, due_at - clock_timestamp() AS left FROM deliveries ORDER BY id")


def attempts():
    return factories.query("SELECT * FROM delivery_attempts ORDER BY delivery_id, number")


def hasten():
    """Let the time pass until everything that waits is due."""
    factories.change("UPDATE deliveries SET due_at = now() WHERE status = 'pending'")


@contextmanager
def sending(worker, threads):
    """Have threads of a worker send beside the test; gives what waits for a condition."""
    leaving = threading.Event()

    def send():
        while not leaving.wait(0.05):
            worker.work("webhooks")

    def wait(condition, seconds=15.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)

    running = [threading.Thread(target=send) for _ in range(threads)]
    for each in running:
        each.start()
    try:
        yield wait
    finally:
        leaving.set()
        for each in running:
            each.join()


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


def test_a_failure_is_tried_again_after_every_pause_and_then_given_up(listen, receiver, ended, worker):
    listen(receiver.url)
    receiver.answer = lambda _: (500, {}, b"out of order")
    ended()

    pauses = []
    for _ in range(len(PAUSES) + 1):
        worker.work("webhooks")
        pauses.append(rows()[0].left.total_seconds())
        hasten()
    worker.work("webhooks")

    assert pauses[:-1] == [pytest.approx(each, rel=TOLERANCE, abs=WRITING_SECONDS) for each in PAUSES]
    assert rows()[0].status == "failed"
    assert len({each.headers["webhook-id"] for each in receiver.heard}) == 1
    assert len({each.body for each in receiver.heard}) == 1
    assert [(each.number, each.status, each.error) for each in attempts()] == [
        (number, 500, "out of order") for number in range(1, len(PAUSES) + 2)
    ]


def test_a_redirect_is_a_failure_and_is_not_followed(listen, receiver, ended, worker):
    listen(receiver.url)
    receiver.answer = lambda _: (302, {"Location": receiver.url + "/elsewhere"}, b"")
    ended()

    worker.work("webhooks")

    assert [each.path for each in receiver.heard] == ["/"]
    assert (rows()[0].status, attempts()[0].status) == ("pending", 302)


@pytest.mark.parametrize("header", ["600", "Fri, 31 Dec 2100 23:59:59 GMT", "soon"])
def test_a_receiver_may_ask_for_a_longer_pause(header, listen, receiver, ended, worker):
    asked = {"600": 600, "soon": PAUSES[0]}.get(header, 24 * 3600)
    listen(receiver.url)
    receiver.answer = lambda _: (503, {"Retry-After": header}, b"")
    ended()

    worker.work("webhooks")

    assert rows()[0].left.total_seconds() == pytest.approx(asked, rel=TOLERANCE, abs=WRITING_SECONDS)


def test_an_answer_that_never_ends_arrives_all_the_same(listen, receiver, ended, worker):
    listen(receiver.url)
    receiver.answer = lambda _: (200, {}, b"x" * 1_000_000)
    ended()

    worker.work("webhooks")

    assert rows()[0].status == "delivered"


def test_a_receiver_that_is_gone_is_told_nothing_more(organization, listen, receiver, ended, worker):
    webhook, _ = listen(receiver.url)
    receiver.answer = lambda _: 410
    ended()

    worker.work("webhooks")
    ended()
    worker.work("webhooks")

    with db.autocommit() as connection:
        found = webhooks.find(connection, organization, webhook.uuid)
    assert (found.disabled_reason, len(receiver.heard), [row.status for row in rows()]) == ("gone", 1, ["failed"])


def test_a_receiver_that_fails_for_days_is_disabled(organization, listen, receiver, ended, worker):
    webhook, _ = listen(receiver.url)
    receiver.answer = lambda _: 500
    ended()
    worker.work("webhooks")
    factories.change("UPDATE webhooks SET failing_since = now() - interval '121 hours'")

    hasten()
    worker.work("webhooks")

    with db.autocommit() as connection:
        assert webhooks.find(connection, organization, webhook.uuid).disabled_reason == "failing"


def test_success_ends_a_time_of_failures(listen, receiver, ended, worker):
    listen(receiver.url)
    receiver.answer = lambda _: 500
    ended()
    worker.work("webhooks")
    receiver.answer = lambda _: 200

    hasten()
    worker.work("webhooks")

    assert factories.query("SELECT failing_since FROM webhooks")[0].failing_since is None


def test_a_private_address_is_not_told(listen, ended, start_worker, receiver):
    listen(receiver.url)
    ended()

    start_worker(allowed_networks=()).work("webhooks")

    assert receiver.heard == []
    assert "may not be reached" in attempts()[0].error


def test_a_name_of_a_private_address_is_not_told(listen, ended, start_worker, receiver):
    listen(receiver.url.replace("127.0.0.1", "localhost"))
    ended()

    start_worker(allowed_networks=()).work("webhooks")

    assert receiver.heard == []
    assert "may not be reached" in attempts()[0].error


def test_a_receiver_that_is_not_there_is_tried_again(listen, ended, worker):
    with sink.serving() as gone:
        listen(gone.url)
    ended()

    worker.work("webhooks")

    assert (rows()[0].status, attempts()[0].status) == ("pending", None)
    assert "broke" in attempts()[0].error


def test_a_receiver_that_stalls_is_given_no_more_than_its_time(listen, receiver, ended, worker, monkeypatch):
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.5)
    listen(receiver.url + "/slow")
    ended()

    worker.work("webhooks")

    [attempt] = attempts()
    assert "no whole answer" in attempt.error
    assert attempt.seconds == pytest.approx(0.5, abs=0.5)


def test_a_receiver_that_stalls_holds_up_nobody_else(listen, receiver, ended, start_worker):
    listen(receiver.url + "/slow")
    listen(receiver.url + "/well")
    worker = start_worker(queues=("webhooks",), worker_concurrency=20)
    for _ in range(20):
        ended()

    with sending(worker, 12) as wait:
        wait(lambda: len(receiver.bodies("/well")) == 20)
        wait(lambda: len(receiver.bodies("/slow")) == deliveries.PLACES)
        receiver.released.set()
        wait(lambda: {row.status for row in rows()} == {"delivered"}, seconds=30.0)


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


def test_the_vendors_client_verifies_while_secrets_change(organization, listen, receiver, ended, worker):
    webhook, former = listen(receiver.url, dialect="promptjuggler")
    with db.transaction() as connection:
        _, secret = webhooks.rotate(connection, organization, webhook.uuid, SEALER, overlap_seconds=60)
    receiver.answer = lambda _: 401 if len(receiver.heard) == 1 else 200
    ended()

    worker.work("webhooks")
    hasten()
    worker.work("webhooks")

    signatures = [each.headers["promptjuggler-signature"] for each in receiver.heard]
    body = receiver.heard[0].body.decode()
    assert [verify_webhook_signature(body, each, former) for each in signatures] == [True, False]
    assert [verify_webhook_signature(body, each, secret) for each in signatures] == [False, True]
    assert json.loads(body) == {"id": rows()[0].data["uuid"], "status": "completed"}
    assert receiver.heard[0].headers["promptjuggler-event"] == "promptrun.finished"


def test_a_former_secret_signs_no_longer_than_it_may(organization, listen, receiver, ended, worker):
    webhook, _ = listen(receiver.url)
    with db.transaction() as connection:
        webhooks.rotate(connection, organization, webhook.uuid, SEALER, overlap_seconds=60)
    factories.change("UPDATE webhooks SET former_until = now()")
    ended()

    worker.work("webhooks")

    assert len(receiver.heard[0].headers["webhook-signature"].split(" ")) == 1


def test_secrets_are_sealed_anew_with_the_newest_key(organization, listen, receiver, ended, start_worker):
    _, secret = listen(receiver.url)
    newer = ("another key of the tests that seals secrets", *SECRET_KEYS)
    with db.transaction() as connection:
        assert webhooks.reseal(connection, Sealer(newer)) == 1
    ended()

    start_worker(secret_keys=newer[:1]).work("webhooks")

    assert Webhook(secret).verify(receiver.heard[0].body, receiver.heard[0].headers)


def test_a_secret_that_cannot_be_opened_is_tried_again(listen, receiver, ended, start_worker):
    listen(receiver.url)
    ended()

    start_worker(secret_keys=("not the key that has sealed the secret",)).work("webhooks")

    assert receiver.heard == []
    assert (rows()[0].status, attempts()[0].error) == ("pending", "the notice could not be written, see the log")


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


def test_old_deliveries_are_buried_with_their_attempts(listen, receiver, ended, worker, settings):
    listen(receiver.url)
    ended()
    worker.work("webhooks")
    factories.change("UPDATE deliveries SET created_at = now() - interval '31 days'")

    upkeep.bury(settings)

    assert (rows(), attempts()) == ([], [])
