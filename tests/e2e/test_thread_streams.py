"""Streams of threads over real processes: a reader ends with the report's own text, whatever dies in between."""

import json
import os
import threading
from contextlib import ExitStack
from signal import SIGKILL, SIGTERM
from uuid import uuid4

import httpx2
import pytest
import redis

from tests.e2e.test_events import another_api
from tests.factories import prompt_layer, source
from tests.thread_reader import Reader
from tests.waiting import until

pytestmark = pytest.mark.e2e
#: An answer of some thirty words, a tenth of a second for each.
SLOW = source(prompt_layer(model="demo:pace=100", stream=True, retry={"attempts": 4}), output="answer")
KEYS = {"STRATA_SECRET_KEYS": "a key of the tests that signs stream tokens"}


class Follower:
    """Follows a thread on a thread of its own, and comes back as a browser does: with its last id, and a new token."""

    def __init__(self, http, thread):
        self.reader, self.events, self.last = Reader(), [], None
        self.connected, self.closing = threading.Event(), threading.Event()
        self.connections = 0
        self._http, self._thread = http, thread
        self._reading = threading.Thread(target=self._run, name="follower", daemon=True)
        self._reading.start()
        assert self.connected.wait(10)

    def run(self, execution):
        return self.reader.runs.get(execution["uuid"])

    def over(self, execution):
        return (run := self.run(execution)) is not None and run.over is not None

    def leave(self):
        self.closing.set()
        self._reading.join(10)

    def move(self, http):
        """Come back to another API process from now on."""
        self._http = http

    def _run(self):
        while not self.closing.is_set():
            try:
                self._follow()
            except httpx2.TransportError:
                self.closing.wait(0.2)

    def _follow(self):
        http = self._http
        token = http.post(f"/v2/threads/{self._thread}/stream-token").raise_for_status().json()["token"]
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": self.last} if self.last else {})
        with http.stream("GET", f"/stream/{self._thread}", headers=headers) as answer:
            self.connections += 1
            found = {}
            for line in answer.iter_lines():
                self.connected.set()
                if self.closing.is_set():
                    return
                name, _, value = line.partition(": ")
                if line:
                    found[name] = value
                elif "event" in found:
                    self.last = found.get("id", self.last)
                    self.events.append(found["event"])
                    self.reader.take(found["event"], json.loads(found["data"]))
                if not line:
                    found = {}


@pytest.fixture
def thread():
    return str(uuid4())


@pytest.fixture
def clients():
    """What is closed at the very end."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def follow(thread, clients):
    """Follow the thread; it is let go once its server has ended."""
    followers = []

    def follow(http):
        followers.append(Follower(http, thread))
        return followers[-1]

    yield follow
    for each in followers:
        each.leave()


@pytest.fixture
def apis(launch, http, clients, follow):
    """Begin an API process that can sign tokens; gives it and a client of it."""
    with ExitStack() as started:

        def start():
            child, url = started.enter_context(another_api(lambda name, **more: launch(name, **KEYS, **more)))
            client = httpx2.Client(base_url=url, headers=http.headers, trust_env=False, timeout=60)
            return child, clients.enter_context(client)

        yield start


@pytest.fixture
def say(http, thread):
    """Publish a definition and start an execution of it on the thread."""

    def say(definition=SLOW):
        http.put("/v2/pipelines/pipeline", json=definition).raise_for_status()
        path = "/v2/pipelines/pipeline/versions/latest/executions"
        return http.post(path, json={"inputs": {}, "thread": thread}).raise_for_status().json()

    return say


def test_a_browser_reads_the_answer_while_it_is_made(start, apis, follow, say, report):
    start("worker")
    follower = follow(apis()[1])
    execution = say()

    until(lambda: follower.run(execution) and len(follower.run(execution).text) > 20)
    running = report(execution)["status"]
    until(lambda: follower.over(execution), seconds=30)

    run = follower.run(execution)
    assert running == "running"
    assert (run.text, run.gapped, run.over) == (report(execution)["output"], False, "done")
    assert follower.events.count("token") > 10


def test_an_api_that_dies_in_the_middle_of_an_answer_costs_no_word(start, apis, follow, say, report):
    start("worker")
    (dying, first), (_, second) = apis(), apis()
    follower = follow(first)
    execution = say()
    until(lambda: follower.run(execution) and len(follower.run(execution).text) > 20)

    follower.move(second)
    os.killpg(dying.pid, SIGKILL)
    until(lambda: follower.over(execution), seconds=30)

    run = follower.run(execution)
    assert (run.text, run.gapped, run.over) == (report(execution)["output"], False, "done")
    assert (follower.reader.stale, follower.connections) == (0, 2)


def test_an_api_that_is_stopped_hands_its_readers_over(start, apis, follow, say, report):
    start("worker")
    (stopping, first), (_, second) = apis(), apis()
    follower = follow(first)
    execution = say()
    until(lambda: follower.run(execution) and follower.run(execution).text)

    follower.move(second)
    stopping.send_signal(SIGTERM)
    until(lambda: follower.over(execution), seconds=30)

    assert follower.events.count("reconnect") == 1
    assert (follower.run(execution).text, follower.run(execution).gapped) == (report(execution)["output"], False)


def test_a_worker_that_dies_has_its_answer_told_anew(start, apis, follow, say, report):
    worker = start("worker")
    follower = follow(apis()[1])
    execution = say()
    until(lambda: follower.run(execution) and len(follower.run(execution).text) > 20)

    os.killpg(worker.pid, SIGKILL)
    start("worker")
    until(lambda: follower.over(execution), seconds=40)

    run = follower.run(execution)
    assert (run.text, run.gapped, run.over) == (report(execution)["output"], False, "done")
    assert follower.events.count("reset") == 2


def test_a_redis_that_is_emptied_leaves_nobody_with_half_an_answer(start, apis, follow, say, servers, report):
    start("worker")
    follower = follow(apis()[1])
    execution = say()
    until(lambda: follower.run(execution) and len(follower.run(execution).text) > 20)

    with redis.Redis.from_url(servers["REDIS_URL"]) as server:
        server.flushall()
    until(lambda: follower.over(execution), seconds=30)

    run = follower.run(execution)
    assert follower.reader.stale >= 1
    assert (run.text, run.gapped, run.over) == (report(execution)["output"], False, "done")


def test_a_redis_that_answers_nobody_for_a_while_leaves_nobody_with_half_an_answer(
    start, apis, follow, say, servers, report
):
    start("worker")
    follower = follow(apis()[1])
    execution = say()
    until(lambda: follower.run(execution) and len(follower.run(execution).text) > 20)

    with redis.Redis.from_url(servers["REDIS_URL"], socket_timeout=30) as server:
        server.client_pause(1500, all=True)
    until(lambda: follower.over(execution), seconds=40)

    run = follower.run(execution)
    assert (run.text, run.gapped, run.over) == (report(execution)["output"], False, "done")


def test_a_cancelled_answer_ends_for_who_follows_it(start, apis, follow, say, http):
    start("worker")
    follower = follow(apis()[1])
    execution = say()
    until(lambda: follower.run(execution) and follower.run(execution).text)

    http.post(f"/v2/executions/{execution['uuid']}/cancel").raise_for_status()

    until(lambda: follower.over(execution))
    assert follower.run(execution).over == "failure"


def test_two_that_are_posted_at_once_are_answered_one_after_the_other(start, apis, follow, say, report):
    start("worker")
    follower = follow(apis()[1])
    definition = source(prompt_layer(model="demo:pace=10", stream=True), output="answer")

    first, second = say(definition), say(definition)
    until(lambda: follower.over(first) and follower.over(second), seconds=30)

    for each in (first, second):
        run = follower.run(each)
        assert (run.text, run.gapped, run.over) == (report(each)["output"], False, "done")


def test_a_process_ends_though_many_follow(apis, follow):
    child, client = apis()
    for _ in range(20):
        follow(client)

    child.send_signal(SIGTERM)

    assert child.wait(8) == 0
