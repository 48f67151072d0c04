from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from shared.settings import Settings
from worker.health import HealthServer


@pytest.fixture(scope="module")
def serve():
    """Start a server of a worker's health and return its address."""
    started = []

    def serve(trouble=None):
        server = HealthServer(Settings(worker_port=19500), lambda: trouble)
        server.start()
        started.append(server)
        return f"http://127.0.0.1:{server._server.server_port}"

    yield serve
    for server in started:
        server.close()


def status(url):
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("path", "trouble", "answered"),
    [
        ("/healthz", None, 200),
        ("/healthz", "stopped", 200),
        ("/readyz", None, 200),
        ("/readyz", "stopped", 503),
        ("/metrics", "stopped", 200),
        ("/", None, 404),
        ("/healthz/x", None, 404),
    ],
)
def test_a_worker_answers_its_probes(serve, path, trouble, answered):
    assert status(serve(trouble) + path) == answered


def test_a_worker_that_is_not_ready_says_why(serve):
    with pytest.raises(HTTPError) as caught:
        urlopen(serve("its lease is over") + "/readyz", timeout=5)

    with caught.value as error:
        assert error.read() == b"its lease is over\n"


def test_metrics_are_those_of_strata(serve):
    with urlopen(serve() + "/metrics", timeout=5) as answer:
        assert b"strata_provider_calls" in answer.read()


def test_two_workers_of_one_machine_take_a_port_each(serve):
    first, second = serve(), serve()

    assert first != second
    assert status(first + "/healthz") == status(second + "/healthz") == 200
