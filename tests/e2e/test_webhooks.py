"""Webhooks as they are told by the Procfile's processes, to somebody who writes everything down."""

import json
import os
from collections import Counter
from signal import SIGKILL

import pytest
from standardwebhooks import Webhook

from shared import db, webhooks
from shared.deliveries import PAUSES, PLACES
from shared.sealing import Sealer
from tests import factories, sink
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e
#: What a busy machine may take on top of a promise, in seconds.
TOLERANCE_SECONDS = 1.0
SETTINGS = {
    "STRATA_ALLOWED_NETWORKS": "127.0.0.0/8",
    "STRATA_SECRET_KEYS": "a key of the tests that seals secrets",
}


@pytest.fixture
def receiver():
    """A sink."""
    with sink.serving() as running:
        yield running


@pytest.fixture
def listen(organization):
    """Make a webhook of every end: `listen(url)`; returns its secret."""

    def listen(url):
        sealer = Sealer([SETTINGS["STRATA_SECRET_KEYS"]])
        with db.transaction() as connection:
            _, secret = webhooks.create(
                connection, organization, sealer, url=url, dialect="standard", events=["execution.ended"]
            )
        return secret

    return listen


def delivered():
    return factories.query("SELECT count(*) FROM deliveries WHERE status = 'delivered'")[0].count


def test_every_end_is_told_once_and_soon(start, execute, listen, receiver):
    secret = listen(receiver.url)
    start("worker")
    start("webhooks", **SETTINGS)

    executions = {execute(chain("demo"), film="Avatar")["uuid"] for _ in range(20)}
    until(lambda: delivered() == 20)

    told = [Webhook(secret).verify(each.body, each.headers)["data"]["uuid"] for each in receiver.heard]
    assert Counter(told) == dict.fromkeys(executions, 1)
    late = factories.query(
        "SELECT max(started_at - created_at) AS late FROM delivery_attempts a JOIN deliveries d ON d.id = a.delivery_id"
    )
    # The sweep sees to it within a second; permits are faster, but may get lost.
    assert late[0].late.total_seconds() < 1 + TOLERANCE_SECONDS


def test_a_deliverer_that_is_killed_loses_nothing(start, execute, listen, receiver):
    listen(receiver.url + "/slow")
    start("worker")
    deliverer = start("webhooks", **SETTINGS)
    executions = {execute(chain("demo"), film="Avatar")["uuid"] for _ in range(12)}
    until(lambda: len(receiver.heard) >= PLACES)

    os.killpg(deliverer.pid, SIGKILL)
    receiver.released.set()
    until(lambda: factories.query("SELECT count(*) FROM deliveries")[0].count == 12)
    # As time would, but in less of it.
    factories.change("UPDATE deliveries SET lease_until = now() WHERE status = 'sending'")
    start("webhooks", **SETTINGS)

    until(lambda: delivered() == 12, seconds=30.0)
    told = {(each.headers["webhook-id"], json.loads(each.body)["data"]["uuid"]) for each in receiver.heard}
    assert {uuid for _, uuid in told} == executions
    assert len(told) == 12
    assert len(receiver.heard) <= 12 + PLACES


def test_a_failure_is_tried_again_after_five_seconds(start, execute, listen, receiver):
    listen(receiver.url)
    receiver.answer = lambda _: 500 if len(receiver.heard) == 1 else 204
    start("worker")
    start("webhooks", **SETTINGS)

    execute(chain("demo"), film="Avatar")
    until(lambda: delivered() == 1)

    tries = factories.query("SELECT started_at, seconds FROM delivery_attempts ORDER BY number")
    pause = (tries[1].started_at - tries[0].started_at).total_seconds() - tries[0].seconds
    assert pause == pytest.approx(PAUSES[0], rel=0.1, abs=0.1)
