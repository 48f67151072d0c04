import pytest

from shared import db, provider_keys
from shared.errors import SealBroken, Unavailable
from shared.providers import Provider
from shared.sealing import Sealer
from shared.settings import Settings
from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import answer, serving
from worker.providers import credentials
from worker.providers.credentials import Credentials, sealed
from worker.providers.faults import ProviderFault

PROVIDER = Provider("other", "http://127.0.0.1/v1", "key-of-the-settings")
SEALER = Sealer(("a-key-of-thirty-two-characters-or-more",))


@pytest.fixture
def settings(servers, model):
    """Settings of a worker that has Postgres."""
    urls = {"database_url": servers["DATABASE_URL"], "redis_url": servers["REDIS_URL"]}
    return Settings(**urls, openai_base_url=model.base_url, openai_api_key="demo")


def test_the_organization_s_own_key_goes_before_that_of_the_settings():
    found = Credentials(lambda organization, _: "own" if organization == 1 else None)

    assert [found.key(organization, PROVIDER).key for organization in (1, 2)] == ["own", "key-of-the-settings"]


def test_the_key_is_sent_as_bearer(ask, make_client):
    heads = []

    def speak(connection):
        heads.append(raw_server.read_request(connection).partition(b"\r\n\r\n")[0].lower())
        connection.sendall(answer())

    with serving(speak) as url:
        client = make_client(own_keys={(2, "default"): "their-own"}, openai_base_url=url)
        ask("m", client=client, organization_id=2)

    assert b"authorization: bearer their-own" in heads[0].split(b"\r\n")


def test_a_key_that_the_provider_repeats_is_not_reported(failure, make_client):
    def speak(connection):
        raw_server.read_request(connection)
        connection.sendall(
            answer(b'{"error": {"message": "wrong key: sk-their-own-canary"}}', status="401 Unauthorized")
        )

    with serving(speak) as url:
        client = make_client(own_keys={(1, "default"): "sk-their-own-canary"}, openai_base_url=url)
        error = failure("m", client=client)

    assert (error.reason, str(error)) == ("provider_auth", '{"error": {"message": "wrong key: [key]"}}')


def test_a_server_without_keys_is_sent_none(ask, make_client):
    heads = []

    def speak(connection):
        heads.append(raw_server.read_request(connection).lower())
        connection.sendall(answer())

    with serving(speak) as url:
        ask("m", client=make_client(openai_base_url=url, openai_api_key=""))

    assert b"authorization" not in heads[0]


def test_openai_is_not_asked_without_a_key(failure, make_client):
    error = failure("gpt-4o", client=make_client(openai_base_url="", openai_api_key=""))

    assert (error.reason, error.calls) == ("provider_auth", ())


def test_a_credential_is_named_by_server_and_key_and_shows_neither():
    found = Credentials(lambda organization, _: f"secret-{organization}")
    elsewhere = Provider("elsewhere", "http://127.0.0.2/v1")

    names = {found.key(1, PROVIDER).id, found.key(2, PROVIDER).id, found.key(1, elsewhere).id}

    assert len(names) == 3
    assert "secret" not in f"{names} {found.key(1, PROVIDER)!r}"


@pytest.mark.parametrize(("kept_seconds", "looks"), [(10.0, 1), (0.0, 3)])
def test_a_key_is_looked_up_once_in_a_while(monkeypatch, kept_seconds, looks):
    monkeypatch.setattr(credentials, "KEPT_SECONDS", kept_seconds)
    looked = []
    found = Credentials(lambda *asked: looked.append(asked))

    for _ in range(3):
        found.key(1, PROVIDER)

    assert looked == [(1, "other")] * looks


def test_what_was_known_is_good_while_postgres_is_away(monkeypatch):
    monkeypatch.setattr(credentials, "KEPT_SECONDS", 0.0)
    answers = iter(["own"])

    def load(*_):
        try:
            return next(answers)
        except StopIteration:
            raise Unavailable from None

    found = Credentials(load)

    assert [found.key(1, PROVIDER).key for _ in range(2)] == ["own", "own"]
    with pytest.raises(Unavailable):
        found.key(2, PROVIDER)


def test_nobody_else_pays_where_the_own_key_cannot_be_opened():
    def load(*_):
        raise SealBroken("sealed with another key")

    with pytest.raises(ProviderFault) as caught:
        Credentials(load).key(1, PROVIDER)

    assert (caught.value.reason, caught.value.falls_back) == ("provider_auth", True)


def test_sealed_keys_are_read_from_postgres(organization):
    with db.transaction() as connection:
        provider_keys.put(connection, organization, "other", "their-own-key", SEALER)

    found = Credentials(sealed(SEALER))

    assert found.key(organization, PROVIDER).key == "their-own-key"
    assert found.key(organization, Provider("third", "http://127.0.0.1/v1")).key == ""
