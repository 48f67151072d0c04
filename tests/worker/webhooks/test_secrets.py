"""The secrets that sign what is told: changed, sealed anew, and out of reach."""

import json

from promptjuggler.webhook import verify_webhook_signature
from standardwebhooks import Webhook

from shared import db, webhooks
from shared.sealing import Sealer
from tests import factories
from tests.worker.webhooks.conftest import SEALER, SECRET_KEYS, attempts, hasten, rows


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
