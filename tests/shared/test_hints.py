import threading
import time

import pytest
import redis

from shared import hints
from shared.hints import Courier
from tests.waiting import until

WAIT_SECONDS = 5.0


@pytest.fixture
def server(database, settings):
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def test_what_was_handed_in_is_sent_by_the_close(server, settings):
    courier = Courier(settings.redis_url)

    for _ in range(1000):
        courier.send(lambda pipeline: pipeline.incr("sent"))
    courier.close()

    assert server.get("sent") == b"1000"


def test_hints_leave_in_their_order(server, settings):
    courier = Courier(settings.redis_url)

    for number in range(50):
        courier.send(lambda pipeline, number=number: pipeline.rpush("sent", number))
    courier.close()

    assert server.lrange("sent", 0, -1) == [str(number).encode() for number in range(50)]


def test_handing_in_takes_no_time_while_the_server_is_frozen(server, settings):
    courier = Courier(settings.redis_url)
    server.client_pause(1500, all=True)
    started = time.monotonic()

    for _ in range(1000):
        courier.send(lambda pipeline: pipeline.incr("sent"))

    assert time.monotonic() - started < 0.3
    courier.close()


def test_hints_beyond_the_capacity_push_out_the_oldest(monkeypatch):
    monkeypatch.setattr(hints, "CAPACITY", 3)
    courier = Courier("redis://127.0.0.1:1")
    courier.close()

    for number in range(5):
        courier.send(number)

    assert list(courier._urgent) == [2, 3, 4]


def test_a_hint_that_cannot_be_sent_does_not_end_the_next(server, settings, monkeypatch):
    monkeypatch.setattr(hints, "BREAK_SECONDS", 0.05)
    courier, sent = Courier(settings.redis_url), threading.Event()
    courier.send(lambda pipeline: pipeline.execute_command("NO-SUCH-COMMAND"))

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send(lambda pipeline: pipeline.set("sent", 1))
        sent.wait(0.05)

    assert server.get("sent")
    courier.close()


def test_a_hint_of_ours_that_is_wrong_does_not_silence_the_courier(server, settings):
    courier = Courier(settings.redis_url)
    courier.send(lambda pipeline: pipeline.set("sent", object()))
    courier.send(lambda pipeline: 1 / 0)

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send(lambda pipeline: pipeline.set("sent", 1))
        time.sleep(0.02)

    assert server.get("sent")
    courier.close()


def test_closing_without_a_server_takes_a_second_at_most():
    courier = Courier("redis://127.0.0.1:1")
    courier.send(lambda pipeline: pipeline.incr("sent"))
    started = time.monotonic()

    courier.close()

    assert time.monotonic() - started < 1.5


def test_a_patient_hint_leaves_by_itself_soon(server, settings):
    courier = Courier(settings.redis_url)
    courier.send(lambda pipeline: pipeline.set("sent", 1), patient=True)

    until(lambda: server.get("sent"))
    courier.close()


def test_patient_hints_share_their_round_trips(server, settings):
    courier = Courier(settings.redis_url)
    before = server.info("stats")["total_reads_processed"]

    for _ in range(100):
        courier.send(lambda pipeline: pipeline.incr("sent"), patient=True)
    courier.close()

    assert server.get("sent") == b"100"
    assert server.info("stats")["total_reads_processed"] - before < 20


def test_nothing_waits_behind_a_patient_hint(server, settings, monkeypatch):
    monkeypatch.setattr(hints, "PATIENCE_SECONDS", 60.0)
    courier = Courier(settings.redis_url)

    courier.send(lambda pipeline: pipeline.rpush("sent", "patient"), patient=True)
    courier.send(lambda pipeline: pipeline.rpush("sent", "hurried"))
    until(lambda: server.llen("sent"))

    assert server.lrange("sent", 0, -1) == [b"hurried"]
    courier.close()
    assert server.lrange("sent", 0, -1) == [b"hurried", b"patient"]


def test_a_patient_hint_leaves_in_the_midst_of_hurried_ones(server, settings):
    courier = Courier(settings.redis_url)
    courier.send(lambda pipeline: pipeline.set("sent", 1), patient=True)

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send(lambda pipeline: pipeline.incr("hurried"))

    assert server.get("sent")
    courier.close()
