"""`/v2/webhooks`, as its clients see it."""

from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from tests import factories, sink
from tests.factories import source

URL = "https://1.1.1.1/hooks"
BODY = {"url": URL, "events": ["execution.ended"]}


@pytest.fixture
def webhook(client):
    """A webhook."""
    return client.post("/v2/webhooks", json=BODY).json


def test_the_secret_is_told_when_it_is_made_and_never_again(client):
    made = client.post("/v2/webhooks", json=BODY)

    shown = client.get(made.headers["Location"])
    assert made.status_code == 201
    assert Webhook(made.json["secret"])
    assert shown.json == {name: value for name, value in made.json.items() if name != "secret"}
    assert made.json["secret"] not in client.get("/v2/webhooks").text + client.get("/v2/audit").text
    assert URL not in client.get("/v2/audit").text


def test_a_webhook_has_its_defaults(webhook):
    assert {name: webhook[name] for name in ("dialect", "environment", "enabled", "tells_event", "description")} == {
        "dialect": "standard",
        "environment": "default",
        "enabled": True,
        "tells_event": False,
        "description": "",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://2130706433/"}, "url"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "http://localhost/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://user:password@1.1.1.1/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["execution.begun"]}, "events[0]"),
        ({"events": ["execution.ended", "execution.ended"]}, "events"),
        ({"events": ["execution.expiring"], "dialect": "promptjuggler"}, "events[0]"),
        ({"dialect": "morse"}, "dialect"),
        ({"environment": "nowhere"}, "environment"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_what_can_be_no_webhook_is_refused(client, body, field):
    answer = client.post("/v2/webhooks", json=BODY | body)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json["errors"]] == [field]


def test_a_webhook_is_changed(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"

    changed = client.patch(path, json={"events": ["document.ended"], "enabled": False}).json

    assert (changed["events"], changed["enabled"], changed["disabled_reason"]) == (["document.ended"], False, "asked")
    assert changed["url"] == URL
    assert client.post(f"{path}/enable").json["enabled"]


def test_a_change_to_a_private_address_is_refused(client, webhook):
    assert client.patch(f"/v2/webhooks/{webhook['uuid']}", json={"url": "http://10.0.0.1/"}).status_code == 422


def test_a_webhook_is_deleted(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"

    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get("/v2/webhooks").json == {"webhooks": []}


def test_a_new_secret_overlaps_with_the_former(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}/rotate-secret"

    overlapping, alone = client.post(path).json, client.post(path, json={"overlap_seconds": 0}).json

    assert overlapping["former_secret_until"] is not None
    assert alone["former_secret_until"] is None
    assert len({webhook["secret"], overlapping["secret"], alone["secret"]}) == 3


def test_a_test_is_delivered_and_its_attempts_are_listed(client, webhook, worker):
    path = f"/v2/webhooks/{webhook['uuid']}"
    with sink.serving() as receiver:
        # No network is open here, so what a try comes to is that it is refused.
        factories.change("UPDATE webhooks SET url = :url", url=receiver.url)
        owed = client.post(f"{path}/test").json
        worker.work("webhooks")

    shown = client.get(f"{path}/deliveries/{owed['uuid']}").json
    assert (shown["event"], shown["status"], shown["attempts"]) == ("webhook.test", "pending", 1)
    assert ["may not be reached" in each["error"] for each in shown["log"]] == [True]


def test_a_disabled_webhook_is_not_tested(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"
    client.patch(path, json={"enabled": False})

    assert client.post(f"{path}/test").status_code == 409


def test_deliveries_are_listed_page_by_page(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"
    owed = [client.post(f"{path}/test").json["uuid"] for _ in range(3)]
    factories.change("UPDATE deliveries SET status = 'failed', ended_at = now() WHERE uuid = :uuid", uuid=owed[1])

    first = client.get(f"{path}/deliveries?limit=2").json
    second = client.get(f"{path}/deliveries?limit=2&cursor={first['next_cursor']}").json
    failed = client.get(f"{path}/deliveries?status=failed").json

    assert [each["uuid"] for each in first["deliveries"] + second["deliveries"]] == owed[::-1]
    assert second["next_cursor"] is None
    assert [each["uuid"] for each in failed["deliveries"]] == [owed[1]]


def test_a_delivery_is_sent_again_under_its_name(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"
    owed = client.post(f"{path}/test").json["uuid"]
    factories.change("UPDATE deliveries SET status = 'failed', ended_at = now(), tries = 10, attempts = 10")

    again = client.post(f"{path}/deliveries/{owed}/resend")

    assert (again.status_code, again.json["uuid"], again.json["status"]) == (202, owed, "pending")
    assert factories.query("SELECT tries FROM deliveries")[0].tries == 0


def test_a_delivery_of_another_webhook_is_not_found(client, webhook):
    other = client.post("/v2/webhooks", json=BODY).json["uuid"]
    owed = client.post(f"/v2/webhooks/{webhook['uuid']}/test").json["uuid"]

    assert client.get(f"/v2/webhooks/{other}/deliveries/{owed}").status_code == 404
    assert client.post(f"/v2/webhooks/{other}/deliveries/{owed}/resend").status_code == 404


def test_nothing_is_owed_to_another_organization(stranger, client, publish, organization):
    stranger.post("/v2/webhooks", json=BODY)
    publish(source())
    factories.cancel(organization, factories.accept(organization).uuid)

    assert factories.query("SELECT 1 FROM deliveries") == []


def test_every_change_is_noted(client, webhook):
    path = f"/v2/webhooks/{webhook['uuid']}"
    client.patch(path, json={"description": "mine"})
    client.post(f"{path}/rotate-secret")
    client.delete(path)

    notes = client.get(f"/v2/audit?subject={webhook['uuid']}").json["changes"]
    assert [each["action"] for each in notes] == [
        "webhook.deleted",
        "webhook.secret_rotated",
        "webhook.changed",
        "webhook.created",
    ]


@pytest.mark.parametrize("name", [uuid4(), "nothing"])
def test_an_unknown_webhook_is_not_found(client, name):
    assert client.get(f"/v2/webhooks/{name}").status_code == 404
