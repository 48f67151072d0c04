"""`/v2/audit`: who changed what, noted with the change itself."""

import pytest

from shared import audit, db
from shared.errors import Conflict
from shared.keys import Caller
from tests import factories
from tests.api.definitions import REVIEW

CANARY = "canary-4f7d1c9e2b8a"


def changes(client, query=""):
    return client.get(f"/v2/audit{query}").json["changes"]


def told(client, query=""):
    return [(each["action"], each["subject"]) for each in changes(client, query)]


def test_every_change_is_noted(client):
    made = client.post("/v2/keys", json={"name": "billing"}).json
    new = client.post(f"/v2/keys/{made['id']}/rotate").json
    client.delete(f"/v2/keys/{new['id']}")
    client.put("/v2/pipelines/pipeline", json=REVIEW)
    client.put("/v2/pipelines/pipeline/tags/live", json={"version": 1})
    client.delete("/v2/pipelines/pipeline/tags/live")
    client.put("/v2/providers/default/key", json={"key": CANARY})
    client.delete("/v2/providers/default/key")
    client.put("/v2/environments/staging")
    client.put("/v2/environments/staging/variables/TOKEN", json={"value": CANARY})
    client.delete("/v2/environments/staging/variables/TOKEN")
    client.delete("/v2/environments/staging")

    assert told(client)[::-1] == [
        ("key.created", str(made["id"])),
        ("key.rotated", str(made["id"])),
        ("key.revoked", str(new["id"])),
        ("pipeline.published", "pipeline"),
        ("pipeline.tagged", "pipeline"),
        ("pipeline.untagged", "pipeline"),
        ("provider_key.set", "default"),
        ("provider_key.deleted", "default"),
        ("environment.created", "staging"),
        ("variable.set", "staging/TOKEN"),
        ("variable.deleted", "staging/TOKEN"),
        ("environment.deleted", "staging"),
    ]
    assert CANARY not in client.get("/v2/audit").text
    assert made["key"] not in client.get("/v2/audit").text


def test_a_note_tells_whose_key_it_was(client):
    client.put("/v2/pipelines/pipeline", json=REVIEW)
    (key,) = client.get("/v2/keys").json["keys"]

    (note,) = changes(client)

    assert (note["key_id"], note["key_prefix"]) == (key["id"], key["prefix"])
    assert note["details"] == {"version": 1, "draft": False}


def test_what_changes_nothing_is_not_noted(client):
    for _ in range(2):
        client.put("/v2/pipelines/pipeline", json=REVIEW)
        client.put("/v2/environments/staging")
    client.put("/v2/pipelines/pipeline", json={"properties": []})
    client.delete("/v2/environments/none")

    assert told(client) == [("environment.created", "staging"), ("pipeline.published", "pipeline")]


def test_a_change_that_is_rolled_back_is_not_noted(client, organization):
    def change():
        with db.transaction() as connection:
            audit.note(connection, Caller(organization, 1, frozenset()), "key.created", "1")
            raise Conflict("it cannot be done")

    with pytest.raises(Conflict):
        change()

    assert changes(client) == []


def test_notes_are_filtered(client):
    for name in ("one", "two"):
        client.put(f"/v2/environments/{name}")
        client.put(f"/v2/environments/{name}/variables/TOKEN", json={"value": CANARY})
    (key,) = client.get("/v2/keys").json["keys"]
    at = changes(client)[1]["at"]

    assert told(client, "?action=variable.set&subject=one/TOKEN") == [("variable.set", "one/TOKEN")]
    assert len(told(client, "?action=variable")) == len(told(client, "?action=environment")) == 2
    assert told(client, "?action=vari") == told(client, "?action=%25") == []
    assert (len(told(client, f"?key={key['id']}")), told(client, "?key=1000000")) == (4, [])
    assert (len(told(client, f"?after={at}")), len(told(client, f"?before={at}"))) == (2, 2)


def test_notes_are_listed_a_page_at_a_time(client):
    for name in ("one", "two", "three"):
        client.put(f"/v2/environments/{name}")

    first = client.get("/v2/audit?limit=2").json
    second = client.get(f"/v2/audit?limit=2&cursor={first['next_cursor']}").json

    assert [each["subject"] for each in first["changes"] + second["changes"]] == ["three", "two", "one"]
    assert second["next_cursor"] is None


def test_another_organizations_changes_are_not_seen(client, stranger):
    client.put("/v2/environments/staging")

    assert (told(stranger), len(told(client))) == ([], 1)


def test_characters_that_cannot_be_stored_do_no_harm(client, organization):
    with db.transaction() as connection:
        audit.note(connection, Caller(organization, 1, frozenset()), "folder.created", "a\0b", name="\ud800")

    assert told(client) == [("folder.created", "a\N{REPLACEMENT CHARACTER}b")]
    assert factories.query("SELECT details FROM audit")[0].details == {"name": "\N{REPLACEMENT CHARACTER}"}
