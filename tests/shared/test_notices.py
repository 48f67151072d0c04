"""What webhooks are sent, verified by the packages that receivers use."""

import base64
import json
import time
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from promptjuggler.webhook import verify_webhook_signature
from standardwebhooks import Webhook, WebhookVerificationError

from shared import notices
from shared.notices import Notice

SECRET, FORMER = (f"whsec_{base64.b64encode(bytes([number] * 32)).decode()}" for number in (1, 2))
SUBJECT = uuid4()
EXECUTION = {"id": 7, "uuid": str(SUBJECT), "status": "succeeded", "reason": None}
DOCUMENT = {"id": str(SUBJECT), "status": "ready", "name": "a.txt", "chunks": 3, "error": None}
FOLDER = {"id": str(SUBJECT), "status": "ready", "handle": "manuals", "documents": 2, "chunks": 5}


def notice(event="execution.ended", data=EXECUTION, **details):
    return Notice(uuid4(), event, SUBJECT, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), data, **details)


def written(dialect, told, *secrets):
    return notices.written(dialect, told, secrets or (SECRET,), moment=int(time.time()))


@pytest.mark.parametrize("dialect", ["standard", "promptjuggler"])
@pytest.mark.parametrize("secret", [SECRET, FORMER])
def test_standard_webhooks_verify_in_every_dialect_with_each_live_secret(dialect, secret):
    body, headers = written(dialect, notice(data=EXECUTION | {"note": "zwölf"}), SECRET, FORMER)

    assert Webhook(secret).verify(body, headers) == json.loads(body)


def test_standard_webhooks_refuse_what_was_changed_on_the_way():
    body, headers = written("standard", notice())

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"succeeded", b"failed"), headers)


@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, FORMER), (FORMER, SECRET)])
def test_the_vendors_client_verifies_with_the_first_secret(secrets):
    body, headers = written("promptjuggler", notice(), *secrets)

    assert verify_webhook_signature(body.decode(), headers["PromptJuggler-Signature"], secrets[0])
    assert not verify_webhook_signature(body.decode() + " ", headers["PromptJuggler-Signature"], secrets[0])


def test_the_standard_body_says_type_time_and_data():
    told = notice()

    body, headers = written("standard", told)

    assert json.loads(body) == {
        "type": "execution.ended",
        "timestamp": "2026-01-02T03:04:05.000000Z",
        "data": EXECUTION,
    }
    assert headers["webhook-id"] == str(told.uuid)


@pytest.mark.parametrize(
    ("told", "name", "values"),
    [
        (notice(prompt=True), "promptrun.finished", {"id": str(SUBJECT), "status": "completed"}),
        (notice(), "workflowrun.finished", {"id": str(SUBJECT), "status": "completed"}),
        (
            notice(data=EXECUTION | {"status": "cancelled"}),
            "workflowrun.finished",
            {"id": str(SUBJECT), "status": "failed"},
        ),
        (
            notice("document.ended", DOCUMENT),
            "knowledgedocument.finished",
            {"id": str(SUBJECT), "status": "ready", "chunkCount": 3},
        ),
        (
            notice("knowledge.ended", FOLDER),
            "knowledgebase.finished",
            {"id": str(SUBJECT), "status": "ready", "documentCount": 2, "chunkCount": 5},
        ),
    ],
)
def test_the_vendors_body_has_exactly_its_keys(told, name, values):
    body, headers = written("promptjuggler", told)

    assert json.loads(body) == values
    assert headers["PromptJuggler-Event"] == name


def test_the_vendors_body_names_the_event_where_that_is_wanted():
    body, _ = written("promptjuggler", notice(prompt=True, tells_event=True))

    assert json.loads(body)["event"] == "promptrun.finished"
