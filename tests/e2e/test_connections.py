"""Connections that clients keep: requests follow each other on them, and one without a request holds nobody up."""

import http.client
import socket
import time
from contextlib import ExitStack, closing
from signal import SIGTERM

import pytest

from deploy.local import children, ports
from tests.e2e.conftest import answers
from tests.waiting import until

pytestmark = pytest.mark.e2e
#: Of twice as many connections as threads no more are taken.
THREADS = 4
WAIT_SECONDS = 5.0


@pytest.fixture(scope="module")
def port(launch):
    """The port of an API that answers few requests at once."""
    port = ports.free()
    child = launch("web", PORT=port, STRATA_API_THREADS=THREADS)
    until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
    yield port
    children.stop(child, (SIGTERM, 10.0))


@pytest.fixture
def connect(port):
    """Open a connection that stays: `connect()`."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)))


def ask(connection):
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize("pause", [0, 0.001, 0.01, 0.3])
def test_requests_follow_each_other_on_a_connection(connect, pause):
    connection = connect()
    statuses, sockets = [], set()

    for _ in range(5):
        statuses.append(ask(connection))
        sockets.add(connection.sock)
        time.sleep(pause)

    assert statuses == [200] * 5
    assert len(sockets) == 1


def test_requests_that_come_together_are_answered_in_turn(connect, port):
    one = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"

    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(one * 3 + last)
        with connection.makefile("rb") as found:
            answered = found.read()

    assert answered.count(b"HTTP/1.1 200") == 4


def test_connections_without_a_request_hold_nobody_up(connect):
    kept = [connect() for _ in range(2 * THREADS - 1)]

    assert [ask(each) for each in kept] == [200] * len(kept)
    assert ask(connect()) == 200
    assert [ask(each) for each in kept] == [200] * len(kept)


def test_a_client_that_goes_leaves_nothing_behind(connect):
    for _ in range(5 * THREADS):
        connection = connect()
        assert ask(connection) == 200
        connection.close()

    assert ask(connect()) == 200
