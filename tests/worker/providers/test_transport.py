"""What a server says on the wire, down to the byte; asked through the client that the worker uses."""

import gzip
import itertools
import time
from threading import Semaphore

import pytest

from shared.errors import LayerFailed
from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import COMPLETION, answer, saying, serving

TOLERANCE_SECONDS = 0.75


@pytest.fixture
def ask_at(ask, make_client):
    """Ask a server of our own, once: `ask_at(url, seconds=1.0)`."""
    clients = {}

    def ask_at(url, **details):
        if url not in clients:
            clients[url] = make_client(openai_base_url=url)
        return ask("m", client=clients[url], **({"attempts": 1} | details))

    return ask_at


def failure(ask_at, speak, **details):
    with serving(speak) as url, pytest.raises(LayerFailed) as caught:
        ask_at(url, **details)
    return caught.value


def test_a_connection_serves_one_question_after_the_other(ask_at):
    connections = []

    def speak(connection):
        connections.append(connection)
        saying(answer(), answer(), answer())(connection)

    with serving(speak) as url:
        for _ in range(3):
            ask_at(url)

    assert len(connections) == 1


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(ask_at):
    closed = Semaphore(0)

    def speak(connection):
        saying(answer())(connection)
        connection.close()
        closed.release()

    with serving(speak) as url:
        for _ in range(4):
            assert ask_at(url).output == "hello"
            assert closed.acquire(timeout=5)


def test_a_connection_that_says_what_nobody_asked_is_not_used_again(ask_at):
    with serving(saying(answer() + b"x" * 1_000_000, answer(b"{}"))) as url:
        assert [ask_at(url).output for _ in range(2)] == ["hello", "hello"]


def test_a_connection_that_the_server_wants_closed_is_not_used_again(ask_at):
    with serving(saying(answer(fields="Connection: close\r\n"), answer(b"{}"))) as url:
        assert [ask_at(url).output for _ in range(2)] == ["hello", "hello"]


def test_an_answer_in_chunks_is_read_whole(ask_at):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in COMPLETION) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

    with serving(saying(head + chunks, answer())) as url:
        assert [ask_at(url).output for _ in range(2)] == ["hello", "hello"]


def test_an_answer_without_a_length_ends_with_its_connection(ask_at):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

    with serving(saying(head + COMPLETION)) as url:
        assert ask_at(url).output == "hello"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"x",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=lambda said: said[-12:],
)
def test_what_is_no_whole_http_answer_is_unreachable(ask_at, said):
    assert failure(ask_at, saying(said)).reason == "provider_unreachable"


@pytest.mark.parametrize("said", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n", b""])
def test_a_server_that_goes_on_without_an_answer_is_left_at_the_deadline(ask_at, said):
    def speak(connection):
        raw_server.read_request(connection)
        connection.sendall(said)
        for _ in itertools.repeat(None):
            time.sleep(0.05)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" if b"100" in said else b"")
            if connection.recv(1) == b"":
                return

    started = time.monotonic()
    error = failure(ask_at, speak, seconds=0.5)

    assert error.reason == "provider_timeout"
    assert time.monotonic() - started < 0.5 + TOLERANCE_SECONDS


def test_an_endless_row_of_interim_answers_is_left_before_the_deadline(ask_at):
    def speak(connection):
        raw_server.read_request(connection)
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    started = time.monotonic()
    error = failure(ask_at, speak, seconds=5)

    assert error.reason == "provider_unreachable"
    assert time.monotonic() - started < 5


def test_a_second_answer_that_nobody_asked_for_is_no_part_of_the_first(ask_at):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(COMPLETION)

    with serving(saying((head + COMPLETION) * 2)) as url:
        assert ask_at(url).output == "hello"


def test_a_small_packed_answer_does_not_become_a_large_one(ask_at):
    content = b'{"choices":[{"message":{"content":"' + b"x" * (64 << 20) + b'"}}]}'
    packed = gzip.compress(content)

    error = failure(ask_at, saying(answer(packed, fields="Content-Encoding: gzip\r\n")))

    assert error.reason == "provider_garbage"


def test_nothing_is_asked_for_packed(ask_at):
    asked = []

    def speak(connection):
        asked.append(raw_server.read_request(connection).lower())
        connection.sendall(answer())

    with serving(speak) as url:
        ask_at(url)

    assert b"accept-encoding: identity\r\n" in asked[0]


def test_the_key_is_sent_as_bearer(ask_at):
    asked = []

    def speak(connection):
        asked.append(raw_server.read_request(connection))
        connection.sendall(answer())

    with serving(speak) as url:
        ask_at(url)

    assert b"authorization: bearer demo\r\n" in asked[0].lower()


@pytest.mark.parametrize("size", [(1 << 20) + 1, 5 << 20])
def test_an_answer_over_the_cap_is_garbage(ask_at, size):
    assert failure(ask_at, saying(answer(b" " * size))).reason == "provider_garbage"


def test_an_answer_below_the_cap_is_read(ask_at):
    with serving(saying(answer(COMPLETION + b" " * ((1 << 20) - len(COMPLETION))))) as url:
        assert ask_at(url).output == "hello"
