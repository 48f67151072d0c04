"""Where talks with servers of the Model Context Protocol may lead, and how much is heard of them."""

import gzip

import pytest

from shared.errors import LayerFailed
from shared.outside import Server
from tests.factories import LOOPBACK
from tests.worker.providers.raw_server import answer, read_request, serving
from tests.worker.test_fetching import CERTIFICATE, names, port_of, run  # noqa: F401
from tests.worker.test_remote_tools import films, served
from worker import remotes
from worker.alarms import Alarms
from worker.remotes import Remotes


@pytest.fixture
def listed(run):  # noqa: F811
    """Have a server list its tools: `listed(url)`; what is on this machine may be reached."""
    alarms = Alarms()

    def listed(url, *, allowed=LOOPBACK, token=None):
        return Remotes(allowed, alarms).listed(Server(url, token), run=run, seconds=5.0)

    return listed


def failure(listed, *arguments, **details):
    with pytest.raises(LayerFailed) as caught:
        listed(*arguments, **details)
    return caught.value


def test_a_server_is_resolved_once_and_its_certificate_is_that_of_its_name(listed, names, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    # Asked a second time, there is no answer any more.
    names["service.test"] = [["127.0.0.1"]]

    with served(films(), ssl_certfile=CERTIFICATE) as url:
        found = listed(f"https://service.test:{port_of(url.removesuffix('/mcp'))}/mcp")

    assert [each["name"] for each in found] == ["year", "wait"]


def test_a_certificate_of_nobody_is_refused(listed, names):  # noqa: F811
    names["service.test"] = [["127.0.0.1"]]

    with served(films(), ssl_certfile=CERTIFICATE) as url:
        error = failure(listed, f"https://service.test:{port_of(url.removesuffix('/mcp'))}/mcp")

    assert error.reason == "http_unreachable"


def test_a_name_with_one_private_address_is_refused(listed, names):  # noqa: F811
    names["service.test"] = [["93.184.215.14", "10.0.0.1"]]

    assert failure(listed, "http://service.test/mcp", allowed=()).reason == "http_refused"


@pytest.mark.parametrize(("url", "token"), [("file:///x", None), ("http://a@b/", None), ("http://b/", "a\r\nX: y")])
def test_what_cannot_be_sent_is_refused(listed, url, token):
    assert failure(listed, url, token=token).reason == "http_refused"


def saying(body, fields=""):
    def speak(connection):
        read_request(connection)
        connection.sendall(answer(body, fields=fields))

    return serving(speak)


def test_an_endless_answer_is_given_up(listed, monkeypatch):
    monkeypatch.setattr(remotes, "MOST_BYTES", 1000)

    with saying(b" " * 2000) as url:
        error = failure(listed, url)

    assert error.reason == "http_too_large"


def test_a_compressed_answer_is_not_unpacked(listed):
    with saying(gzip.compress(b" " * 2000), "Content-Encoding: gzip\r\n") as url:
        error = failure(listed, url)

    assert error.reason == "tool_failed"
