import pytest

from shared.providers import OPENAI_URL, Provider
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
