"""Requests of customers to somewhere else, against servers and names of our own."""

import itertools
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from shared.errors import LayerFailed, Stopped
from shared.executions import Claim
from shared.outside import Request
from tests.factories import LOOPBACK
from tests.worker.providers.raw_server import answer, read_request, saying, serving
from worker.alarms import Alarms
from worker.fetching import Fetcher
from worker.running import Run

CERTIFICATE = Path(__file__).with_name("tls") / "service.pem"
KEY = "018f/answer/0"
TOLERANCE_SECONDS = 0.75


@pytest.fixture
def run():
    """A run that nobody has stopped."""
    times = {"seconds_left": 60.0, "seconds_queued": 0.0}
    return Run(Claim(1, uuid4(), 1, 1, None, "normal", 1, deaths=0, inputs={}, pins={}, **times))


@pytest.fixture
def fetch(run):
    """Fetch: `fetch(url, headers={…})`; what is on this machine may be reached, unless `allowed` says otherwise."""
    alarms = Alarms()

    def fetch(url, method="GET", *, allowed=LOOPBACK, seconds=5.0, **details):
        return Fetcher(allowed, alarms).fetch(Request(method, url, **details), run=run, seconds=seconds, key=KEY)

    return fetch


@pytest.fixture
def names(monkeypatch):
    """What names resolve to: `names["service.test"] = [["127.0.0.1"], …]`, an answer for each time it is asked."""
    answers = {}
    ask = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, flags=0, **details):
        if flags & socket.AI_NUMERICHOST or host.decode() not in answers:
            return ask(host, port, *arguments, flags=flags, **details)
        found = answers[host.decode()].pop(0)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [each for address in found for each in ask(address, port, **details)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


@contextmanager
def heard():
    """A server that answers everybody, and what it has been sent."""
    requests = []

    def speak(connection):
        requests.append(read_request(connection))
        connection.sendall(answer(b"hello"))

    with serving(speak) as url:
        yield url, requests


def failure(fetch, *arguments, **details):
    with pytest.raises(LayerFailed) as caught:
        fetch(*arguments, **details)
    return caught.value


def port_of(url):
    return int(url.rpartition(":")[2].partition("/")[0])


def test_an_answer_comes_with_its_status_headers_and_body(fetch):
    said = answer(b"hello", status="418 Teapot", fields="X-A: 1\r\nx-a: 2\r\n")

    with serving(saying(said)) as url:
        found = fetch(url)

    assert (found.status, found.headers["x-a"], found.body) == (418, "1, 2", b"hello")


def test_method_headers_and_body_are_sent_as_they_are(fetch):
    with heard() as (url, requests):
        fetch(f"{url}/x?y=1", "POST", headers={"X-Key": "ü"}, body=b"body")

    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert (head.splitlines()[0], body) == (b"POST /v1/x?y=1 HTTP/1.1", b"body")
    assert {"X-Key: ü".encode(), b"Content-Length: 4", f"Host: 127.0.0.1:{port_of(url)}".encode()} <= {
        *head.splitlines()
    }


@pytest.mark.parametrize(
    ("method", "headers", "key"),
    [
        ("GET", {}, None),
        ("POST", {}, KEY),
        ("DELETE", {}, KEY),
        ("PUT", {"idempotency-key": "mine"}, "mine"),
        ("GET", {"Idempotency-Key": "mine"}, "mine"),
    ],
)
def test_what_is_sent_again_can_be_told_by_its_key(fetch, method, headers, key):
    with heard() as (url, requests):
        fetch(url, method, headers=headers)

    keys = [line[17:].decode() for line in requests[0].splitlines() if line.startswith(b"Idempotency-Key: ")]
    assert keys == ([] if key is None else [key])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
    ],
)
def test_a_private_address_is_refused_in_any_notation(fetch, host):
    with heard() as (url, requests):
        error = failure(fetch, f"http://{host}:{port_of(url)}/", allowed=())

    assert (error.reason, requests) == ("http_refused", [])


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1", "8.8.8.8"]])
def test_a_name_with_a_private_address_is_refused_whatever_others_it_has(fetch, names, addresses):
    names["service.test"] = [addresses]

    with heard() as (url, requests):
        error = failure(fetch, f"http://service.test:{port_of(url)}/", allowed=())

    assert (error.reason, requests) == ("http_refused", [])
    assert "127" not in str(error)


def test_a_name_is_resolved_once_and_the_connection_made_to_what_was_checked(fetch, names):
    # Asked again, it would lead to where nobody listens.
    names["service.test"] = [["127.0.0.1"], ["127.0.0.9"]]

    with heard() as (url, requests):
        found = fetch(f"http://service.test:{port_of(url)}/", allowed=("127.0.0.1/32",))

    assert (found.body, len(names["service.test"])) == (b"hello", 1)
    assert f"Host: service.test:{port_of(url)}".encode() in requests[0]


def test_the_next_address_is_tried_where_one_does_not_answer(fetch, names):
    names["service.test"] = [["127.0.0.9", "127.0.0.1"]]

    with heard() as (url, _):
        assert fetch(f"http://service.test:{port_of(url)}/").body == b"hello"


def test_a_redirect_is_an_answer_and_not_followed(fetch):
    with heard() as (inside, requests):
        said = answer(b"", status="302 Found", fields=f"Location: {inside}\r\n")
        with serving(saying(said)) as url:
            found = fetch(url)

    assert (found.status, found.headers["location"], requests) == (302, inside, [])


def test_a_proxy_of_the_environment_is_not_used(fetch, monkeypatch):
    with heard() as (proxy, asked), heard() as (url, requests):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)

        fetch(url)

    assert (len(asked), len(requests)) == (0, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nHost: evil"},
        {"X": "a\nb"},
        {"X": "a\x00b"},
        {"X\r\nY": "a"},
        {"X Y": "a"},
        {"": "a"},
        {"X:": "a"},
        {"Ü": "a"},
        {"Host": "evil.test"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "keep-alive"},
        {"Upgrade": "h2c"},
        {"accept-encoding": "gzip"},
    ],
)
def test_a_header_that_would_say_something_else_is_refused(fetch, headers):
    with heard() as (url, requests):
        error = failure(fetch, url, headers=headers)

    assert (error.reason, requests) == ("http_refused", [])


@pytest.mark.parametrize("path", ["\r\nX: y", " HTTP/1.1\r\nHost: evil\r\n\r\n", "../x", "a b"])
def test_a_url_that_would_say_something_else_is_refused(fetch, path):
    with heard() as (url, requests):
        error = failure(fetch, f"{url}/{path}")

    assert (error.reason, requests) == ("http_refused", [])


@pytest.mark.parametrize("said", [answer(b"x" * 1001), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (4 << 20)])
def test_a_body_over_the_cap_is_too_large(fetch, said):
    with serving(saying(said)) as url:
        assert failure(fetch, url, max_bytes=1000).reason == "http_too_large"


def test_a_body_as_large_as_the_cap_is_read(fetch):
    with serving(saying(answer(b"x" * 1000))) as url:
        assert len(fetch(url, max_bytes=1000).body) == 1000


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "cut short", "another protocol"],
)
def test_what_is_no_whole_answer_is_unreachable(fetch, said):
    with serving(saying(said)) as url:
        assert failure(fetch, url).reason == "http_unreachable"


def test_nobody_who_listens_is_unreachable(fetch):
    with serving(saying()) as url:
        pass

    assert failure(fetch, url).reason == "http_unreachable"


def test_a_name_that_nobody_knows_is_unreachable(fetch, names):
    names["nobody.test"] = [[]]

    error = failure(fetch, "http://nobody.test/")

    assert (error.reason, "could not be resolved" in str(error)) == ("http_unreachable", True)


def drips(connection):
    """Answers a byte at a time, for ever."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in itertools.repeat(None):
        connection.sendall(b"x")
        time.sleep(0.02)


def is_silent(connection):
    """Takes what comes and says nothing, until the other side leaves."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("speak", [drips, is_silent])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_slow_is_left_at_the_deadline(fetch, speak, scheme):
    started = time.monotonic()

    with serving(speak) as url:
        error = failure(fetch, url.replace("http", scheme), seconds=0.4)

    assert error.reason == "http_timeout"
    assert time.monotonic() - started < 0.4 + TOLERANCE_SECONDS


def test_a_reader_that_takes_nothing_is_left_at_the_deadline(fetch):
    done = threading.Event()
    started = time.monotonic()

    with serving(lambda connection: done.wait(5)) as url:
        error = failure(fetch, url, "POST", body=b"x" * (16 << 20), seconds=0.4)
        done.set()

    assert error.reason == "http_timeout"
    assert time.monotonic() - started < 0.4 + TOLERANCE_SECONDS


def test_a_server_that_does_not_accept_is_left_at_the_deadline(fetch):
    started = time.monotonic()

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as others:
        for _ in range(3):
            # More than these the system does not take for a server that accepts none.
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        error = failure(fetch, f"http://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.4)

    assert error.reason == "http_timeout"
    assert time.monotonic() - started < 0.4 + TOLERANCE_SECONDS


def test_a_resolver_that_does_not_answer_is_left_at_the_deadline(fetch, monkeypatch):
    answered = threading.Event()
    ask = socket.getaddrinfo

    def getaddrinfo(*arguments, flags=0, **details):
        if not flags & socket.AI_NUMERICHOST:
            answered.wait(5)
        return ask(*arguments, flags=flags, **details)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    started = time.monotonic()

    error = failure(fetch, "http://localhost:1/", seconds=0.3)

    answered.set()
    assert error.reason == "http_timeout"
    assert time.monotonic() - started < 0.3 + TOLERANCE_SECONDS


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_run_that_stops_cuts_its_request_at_once(fetch, run, scheme):
    asked = threading.Event()

    def speak(connection):
        asked.set()
        is_silent(connection)

    def stop():
        asked.wait(5)
        run.stop("cancelled")

    with serving(speak) as url:
        threading.Thread(target=stop).start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            fetch(url.replace("http", scheme), seconds=30)

    assert time.monotonic() - started < TOLERANCE_SECONDS


def test_a_run_that_is_to_stop_sends_nothing(fetch, run):
    run.stop("cancelled")

    with heard() as (url, requests), pytest.raises(Stopped):
        fetch(url)

    assert requests == []


@contextmanager
def secured():
    """A server for `service.test` that encrypts; its port, and what names it was asked for."""
    asked = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _, name, __: asked.append(name)

    def speak(connection):
        with context.wrap_socket(connection, server_side=True) as wrapped:
            saying(answer(b"hello"))(wrapped)

    with serving(speak) as url:
        yield port_of(url), asked


def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(fetch, names, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    names["service.test"] = [["127.0.0.1"]]

    with secured() as (port, asked):
        found = fetch(f"https://service.test:{port}/")

    assert (found.body, asked) == (b"hello", ["service.test"])


@pytest.mark.parametrize(("name", "trusted"), [("other.test", True), ("service.test", False)])
def test_a_certificate_of_another_name_or_of_nobody_is_refused(fetch, names, monkeypatch, name, trusted):
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    names[name] = [["127.0.0.1"]]

    with secured() as (port, _):
        error = failure(fetch, f"https://{name}:{port}/")

    assert error.reason == "http_unreachable"
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
