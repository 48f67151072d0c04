"""What becomes of a delivery, by what its receiver does: it arrives, is tried again or given up, and is buried."""

import pytest

from shared import db, webhooks
from shared.deliveries import PAUSES
from tests import factories, sink
from tests.worker.webhooks.conftest import attempts, hasten, rows
from worker import delivery, upkeep

#: A pause is so much longer or shorter at most, and what a busy machine takes to write it down.
TOLERANCE, WRITING_SECONDS = 0.1, 2.0


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


def test_old_deliveries_are_buried_with_their_attempts(listen, receiver, ended, worker, settings):
    listen(receiver.url)
    ended()
    worker.work("webhooks")
    factories.change("UPDATE deliveries SET created_at = now() - interval '31 days'")

    upkeep.bury(settings)

    assert (rows(), attempts()) == ([], [])
