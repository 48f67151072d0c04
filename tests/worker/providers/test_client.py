import pytest

from shared.providers import OPENAI_URL, Provider
from tests.worker.providers import raw_server
from worker.calls import Call
from worker.providers import client, transport
from worker.providers.client import Clients


@pytest.fixture
def clients():
    """The clients of a process."""
    clients = Clients(max_answer_bytes=1 << 20)
    yield clients
    clients.close()


def test_a_provider_without_an_address_is_openai_wherever_the_default_one_is(clients, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")

    assert str(clients.of(Provider("openai", api_key="k")).base_url).rstrip("/") == OPENAI_URL


def test_a_provider_has_one_client(clients):
    provider = Provider("local", "http://127.0.0.1:1/v1")

    assert clients.of(provider) is clients.of(provider)


@pytest.fixture
def sent(clients):
    """The head of a request as a provider gets it: `sent(key=…, **headers)`, with these in its settings."""

    def sent(*, key, **headers):
        heads = []

        def speak(connection):
            heads.append(raw_server.read_request(connection).partition(b"\r\n\r\n")[0].decode())
            connection.sendall(raw_server.answer())

        with raw_server.serving(speak) as url:
            token = transport.exchange.set(transport.Exchange(Call(), 5.0))
            clients.of(Provider(url, url, headers=headers)).ask("/x", {}, client.headers(key, {"X-Id": "one"}))
            transport.exchange.reset(token)
        return heads[0].split("\r\n")

    return sent


def test_a_request_has_the_headers_of_its_provider_and_its_own(sent):
    lines = sent(key="k", **{"X-Team": "films", "User-Agent": "ours"})

    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert {"X-Team: films", "User-Agent: ours", "X-Id: one", "Authorization: Bearer k", "Content-Length: 2"} < {*lines}
    assert [line for line in lines if line.lower().startswith(("user-agent", "host"))][1:] == ["User-Agent: ours"]


def test_a_key_stands_for_the_authorization_in_the_settings(sent):
    def told(key):
        return [line for line in sent(key=key, Authorization="Basic abc") if line.startswith("Authorization")]

    assert (told("k"), told("")) == (["Authorization: Bearer k"], ["Authorization: Basic abc"])
