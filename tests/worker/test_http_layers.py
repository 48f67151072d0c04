"""The `http` kind, run by a real worker against servers of our own."""

import json
import threading
import time

import pytest

from tests import factories
from tests.factories import LOOPBACK, source
from tests.worker.providers.raw_server import answer, read_request, saying, serving

TOLERANCE_SECONDS = 1.0


def asks(**settings):
    return source({"kind": "http", "url": "{{base}}/films", **settings}, inputs=[{"name": "base"}], output="answer")


def accept(organization, url):
    return factories.accept(organization, inputs=(("base", url),))


def test_an_answer_becomes_the_output_of_the_layer(organization, publish, start_worker):
    publish(asks())

    with serving(saying(answer(b'{"films": ["Avatar"]}'))) as url:
        accepted = accept(organization, url)
        start_worker(allowed_networks=LOOPBACK).work()

    report = factories.report(organization, accepted)
    assert (report.output, report.properties[0].layers[0].details) == ({"films": ["Avatar"]}, {"status": 200})


def test_this_machine_cannot_be_reached_unless_its_network_is_allowed(organization, publish, worker):
    publish(asks())
    requests = []

    with serving(lambda connection: requests.append(read_request(connection))) as url:
        accepted = accept(organization, url)
        worker.work()

    assert (factories.report(organization, accepted).reason, requests) == ("http_refused", [])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(b"no such film", status="404 Not Found"), "http_status"),
        (answer(b"{"), "value_invalid"),
        (answer(b"x" * 2000), "http_too_large"),
        (b"", "http_unreachable"),
    ],
)
def test_what_is_not_the_answer_fails_the_layer(organization, publish, start_worker, said, reason):
    publish(asks(max_bytes=1000))

    with serving(saying(said)) as url:
        accepted = accept(organization, url)
        start_worker(allowed_networks=LOOPBACK).work()

    assert factories.report(organization, accepted).reason == reason


def test_a_layer_s_time_bounds_its_request(organization, publish, start_worker):
    publish(asks(timeout_seconds=0.4))
    worker = start_worker(allowed_networks=LOOPBACK)

    with serving(lambda connection: threading.Event().wait(5)) as url:
        accepted = accept(organization, url)
        started = time.monotonic()
        worker.work()

    assert time.monotonic() - started < 0.4 + TOLERANCE_SECONDS
    assert factories.report(organization, accepted).reason == "http_timeout"


def test_an_execution_that_waits_on_a_server_is_cancelled_and_its_connection_closed(
    organization, publish, start_worker, working
):
    publish(asks())
    asked, left = threading.Event(), threading.Event()

    def speak(connection):
        read_request(connection)
        asked.set()
        if connection.recv(1) == b"":
            left.set()

    with serving(speak) as url:
        accepted = accept(organization, url)
        work = working(start_worker(allowed_networks=LOOPBACK))
        assert asked.wait(5)
        assert factories.cancel(organization, accepted.uuid) == "cancelling"
        work.result(3.0)

        assert left.wait(1)
    assert factories.report(organization, accepted).status == "cancelled"


def test_a_request_that_is_sent_again_has_the_same_key(organization, publish, start_worker, working):
    publish(asks(name="order", method="POST", json={"film": "{{base}}"}))
    requests, first = [], threading.Event()

    def speak(connection):
        requests.append(read_request(connection))
        if len(requests) == 1:
            first.set()
            connection.recv(1)
        connection.sendall(answer(b"{}"))

    with serving(speak) as url:
        accepted = accept(organization, url)
        dying = start_worker(allowed_networks=LOOPBACK, drain_seconds=0.1)
        work = working(dying)
        assert first.wait(5)
        dying.drain()
        work.result(3.0)
        start_worker(allowed_networks=LOOPBACK).work()

    key = f"Idempotency-Key: {accepted.uuid}/answer/order".encode()
    assert [key in request for request in requests] == [True, True]
    assert json.loads(requests[1].partition(b"\r\n\r\n")[2]) == {"film": url}
