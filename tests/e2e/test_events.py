"""Events from worker processes to clients of an API process: live, through the loss of Redis, and many at once."""

import json
import threading
from contextlib import contextmanager
from signal import SIGTERM

import httpx2
import pytest
import redis
from sqlalchemy import text

from deploy.local import children, ports
from shared import db, events
from tests.e2e.conftest import answers
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e
CLIENTS = 250
CHAIN = ["started", *["layer_started", "layer_ended"] * 3, "ended"]


class Stream:
    """A stream that a thread reads as it comes; it comes back like a browser only where it is told to."""

    def __init__(self, http, execution, last=None):
        self.seen = []
        self.over = threading.Event()
        self._http, self._path = http, f"/v2/executions/{execution['uuid']}/events"
        self._headers = {"Last-Event-ID": last} if last else {}
        threading.Thread(target=self._read, name="stream", daemon=True).start()

    def kinds(self):
        return [each["event"] for each in self.seen]

    def _read(self):
        try:
            with self._http.stream("GET", self._path, headers=self._headers) as answer:
                found = {}
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if line:
                        found[name] = value
                    elif "data" in found:
                        self.seen.append({**found, "data": json.loads(found["data"])})
                    if not line:
                        found = {}
        except httpx2.TransportError:
            self.broken = True
        self.over.set()


@pytest.fixture
def server(servers):
    with redis.Redis.from_url(servers["REDIS_URL"], socket_timeout=30) as client:
        yield client


@contextmanager
def another_api(launch):
    """An API process of its own, that a test may end."""
    port = ports.free()
    child = launch("web", PORT=port)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        yield child, f"http://127.0.0.1:{port}"
    finally:
        children.stop(child, (SIGTERM, 10.0))


def test_a_client_sees_every_layer_while_it_runs(start, execute, http, report):
    execution = execute(chain("demo:latency=300", "demo:latency=300", "demo"), film="Avatar")
    stream = Stream(http, execution)
    until(lambda: stream.kinds() == ["accepted"])

    start("worker")
    until(lambda: stream.kinds()[1:4] == CHAIN[:3])
    running = report(execution)["status"]

    assert stream.over.wait(15)
    assert (running, stream.kinds()) == ("running", ["accepted", *CHAIN])
    assert stream.seen[-1]["data"]["report"] == report(execution)


def test_a_stream_that_was_cut_off_goes_on_where_it_was(start, execute, http):
    execution = execute(chain("demo:latency=200", "demo:latency=200", "demo:latency=200"), film="Avatar")
    whole = Stream(http, execution)
    start("worker")
    until(lambda: len(whole.seen) >= 4)

    resumed = Stream(http, execution, whole.seen[2]["id"])

    assert whole.over.wait(15)
    assert resumed.over.wait(15)
    assert resumed.seen == whole.seen[3:]


def test_a_client_gets_the_end_though_redis_is_emptied_and_cut_off(start, execute, http, server, report):
    execution = execute(chain("demo:latency=500", "demo:latency=500", "demo:latency=500"), film="Avatar")
    stream = Stream(http, execution)
    start("worker")
    until(lambda: "layer_ended" in stream.kinds())

    server.flushall()
    server.client_kill_filter(_type="pubsub")
    server.client_kill_filter(_type="normal", skipme=True)

    assert stream.over.wait(20)
    assert stream.kinds()[-1] == "ended"
    assert stream.seen[-1]["data"]["report"] == report(execution)


def test_a_client_gets_the_end_while_redis_answers_nobody(start, execute, http, server):
    execution = execute(chain("demo:latency=500", "demo:latency=500"), film="Avatar")
    stream = Stream(http, execution)
    start("worker")
    until(lambda: "layer_started" in stream.kinds())

    server.client_pause(8000, all=True)
    ended = stream.over.wait(7)
    server.ping()

    assert ended
    assert (stream.kinds()[-1], stream.seen[-1]["data"]["status"]) == ("ended", "succeeded")


def test_a_server_that_is_stopped_lets_its_clients_go(launch, execute, http):
    execution = execute(chain("demo"), film="Avatar")
    with (
        another_api(launch) as (child, url),
        httpx2.Client(base_url=url, headers=http.headers, trust_env=False) as client,
    ):
        stream = Stream(client, execution)
        until(lambda: stream.kinds() == ["accepted"])

        child.send_signal(SIGTERM)

        assert stream.over.wait(3)
        assert not hasattr(stream, "broken")
        assert child.wait(5) == 0


def test_a_client_that_leaves_frees_its_place(execute, http, server):
    execution = execute(chain("demo"), film="Avatar")
    channel = events.channel(execution["uuid"]).encode()

    with http.stream("GET", f"/v2/executions/{execution['uuid']}/events") as answer:
        next(answer.iter_lines())
        until(lambda: server.pubsub_numsub(channel) == [(channel, 1)])

    until(lambda: server.pubsub_numsub(channel) == [(channel, 0)], seconds=5)


def test_many_clients_cost_one_subscription_and_no_database_connection(start, execute, http, server):
    execution = execute(chain("demo"), film="Avatar")
    before = len(server.client_list())
    limits = httpx2.Limits(max_connections=CLIENTS + 10)
    with httpx2.Client(
        base_url=http.base_url, headers=http.headers, limits=limits, trust_env=False, timeout=60
    ) as many:
        streams = [Stream(many, execution) for _ in range(CLIENTS)]
        until(lambda: all(stream.kinds() for stream in streams), seconds=40)

        connections, held = len(server.client_list()) - before, database_connections()
        start("worker")

        assert all(stream.over.wait(20) for stream in streams)
    assert connections <= 2
    assert held <= 20
    assert {tuple(stream.kinds()) for stream in streams} == {("accepted", *CHAIN[:3], "ended")}


def database_connections():
    with db.transaction() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'strata api'"))
        return found.scalar_one()
