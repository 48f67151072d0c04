"""`/v2/providers`: what may be asked, and keys of one's own that nobody ever sees again."""

import base64
import json
import logging

import pytest
import redis

from api.app import create_app
from shared import db, provider_keys
from shared.sealing import Sealer
from tests import factories

CANARY = "sk-canary-4f7d1c9e2b8a-Zx9Q"
FORMS = (CANARY, base64.b64encode(CANARY.encode()).decode(), CANARY[:-4])


def set_key(client, key=CANARY, provider="default"):
    return client.put(f"/v2/providers/{provider}/key", json={"key": key})


def default(client):
    return next(each for each in client.get("/v2/providers").json["providers"] if each["name"] == "default")


def test_providers_tell_whether_they_have_a_key_of_ones_own(client):
    before = default(client)["own_key"]

    assert set_key(client).json["hint"] == "Zx9Q"
    assert (before, default(client)["own_key"]["hint"]) == (None, "Zx9Q")


def test_another_organization_sees_nothing_of_it(client, stranger):
    set_key(client)

    assert default(stranger)["own_key"] is None
    assert stranger.delete("/v2/providers/default/key").status_code == 404


def test_a_key_is_forgotten(client):
    set_key(client)

    assert client.delete("/v2/providers/default/key").status_code == 204
    assert default(client)["own_key"] is None


@pytest.mark.parametrize(
    "body", [{}, {"key": 1}, {"key": ""}, {"key": "short"}, {"key": "sk with blanks"}, {"other": 1}]
)
def test_what_can_be_no_key_is_422(client, body):
    assert client.put("/v2/providers/default/key", json=body).status_code == 422


def test_an_unknown_provider_is_404(client):
    assert set_key(client, provider="none").status_code == 404


def test_without_keys_to_seal_with_nothing_is_kept(settings, client, organization, make_key):
    unsealed = create_app(type(settings)(database_url=settings.database_url, redis_url=settings.redis_url))
    headers = {"X-Api-Key": make_key(organization)}

    answer = unsealed.test_client().put("/v2/providers/default/key", json={"key": CANARY}, headers=headers)

    assert (answer.status_code, "STRATA_SECRET_KEYS" in answer.json["detail"]) == (409, True)


def database_dump():
    """Every row of every table, as Postgres writes it."""
    tables = factories.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    rows = [factories.query(f'SELECT CAST(t AS text) FROM "{name}" t') for (name,) in tables]
    return json.dumps([str(row) for each in rows for row in each])


def redis_dump(url):
    with redis.Redis.from_url(url) as server:
        return repr([(key, server.dump(key)) for key in server.scan_iter()])


def test_a_key_is_nowhere_in_clear(app, client, organization, settings, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [
        set_key(client),
        set_key(client, CANARY + " "),
        client.put("/v2/providers/default/key", json=CANARY),
        client.put("/v2/providers/default/key", data=f'{{"key": "{CANARY}"', content_type="application/json"),
        client.put("/v2/providers/default/key", json={"key": CANARY}, headers={"Authorization": "Bearer none"}),
        client.get("/v2/providers"),
        client.delete("/v2/providers/default/key"),
    ]
    set_key(client)
    with db.transaction() as connection:
        kept = provider_keys.opened(connection, organization, "default", Sealer(settings.secret_keys))

    seen = [each.get_data(as_text=True) for each in answers]
    seen += [caplog.text, database_dump(), redis_dump(settings.redis_url), repr(app.extensions["strata"])]
    assert kept == CANARY
    assert [form for form in FORMS for text in seen if form in text] == []
