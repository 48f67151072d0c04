import threading
import time
from contextlib import contextmanager

import pytest
import redis

from shared import hints
from shared.hint_line import AT_ONCE_BYTES
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
        courier.send("INCR", "sent")
    courier.close()

    assert server.get("sent") == b"1000"


def test_hints_leave_in_their_order(server, settings):
    courier = Courier(settings.redis_url)

    for number in range(50):
        courier.send("RPUSH", "sent", number)
    courier.close()

    assert server.lrange("sent", 0, -1) == [str(number).encode() for number in range(50)]


def test_handing_in_takes_no_time_while_the_server_is_frozen(server, settings):
    courier = Courier(settings.redis_url)
    server.client_pause(1500, all=True)
    started = time.monotonic()

    for _ in range(1000):
        courier.send("INCR", "sent")

    assert time.monotonic() - started < 0.3
    courier.close()


def test_hints_beyond_the_capacity_push_out_the_oldest(monkeypatch):
    monkeypatch.setattr(hints, "CAPACITY", 3)
    courier = Courier("redis://127.0.0.1:1")
    courier.close()

    for number in range(5):
        courier.send(number)

    assert [hint.words for hint in courier._urgent] == [(2,), (3,), (4,)]


def test_a_hint_that_cannot_be_sent_does_not_end_the_next(server, settings, monkeypatch):
    monkeypatch.setattr(hints, "BREAK_SECONDS", 0.05)
    courier, sent = Courier(settings.redis_url), threading.Event()
    courier.send("NO-SUCH-COMMAND")

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send("SET", "sent", 1)
        sent.wait(0.05)

    assert server.get("sent")
    courier.close()


@pytest.mark.parametrize("word", [object(), "\ud800"])
def test_what_cannot_be_sent_is_lost_alone(server, idle, word):
    lost = []

    idle.send("SET", "sent", word, lost=lambda: lost.append(word))
    idle.send("SET", "next", 1)

    until(lambda: lost and server.get("next"))
    assert server.get("sent") is None


def test_a_hint_of_ours_that_is_wrong_does_not_silence_the_courier(server, settings):
    courier = Courier(settings.redis_url)
    courier.send("SET", "sent", object())

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send("SET", "sent", 1)
        time.sleep(0.02)

    assert server.get("sent")
    courier.close()


def test_closing_without_a_server_takes_a_second_at_most():
    courier = Courier("redis://127.0.0.1:1")
    courier.send("INCR", "sent")
    started = time.monotonic()

    courier.close()

    assert time.monotonic() - started < 1.5


def test_a_patient_hint_leaves_by_itself_soon(server, settings):
    courier = Courier(settings.redis_url)
    courier.send("SET", "sent", 1, patient=True)

    until(lambda: server.get("sent"))
    courier.close()


def test_patient_hints_share_their_round_trips(server, settings):
    courier = Courier(settings.redis_url)
    before = server.info("stats")["total_reads_processed"]

    for _ in range(100):
        courier.send("INCR", "sent", patient=True)
    courier.close()

    assert server.get("sent") == b"100"
    assert server.info("stats")["total_reads_processed"] - before < 20


def test_nothing_waits_behind_a_patient_hint(server, settings, monkeypatch):
    monkeypatch.setattr(hints, "PATIENCE_SECONDS", 60.0)
    courier = Courier(settings.redis_url)

    courier.send("RPUSH", "sent", "patient", patient=True)
    courier.send("RPUSH", "sent", "hurried")
    until(lambda: server.llen("sent"))

    assert server.lrange("sent", 0, -1) == [b"hurried"]
    courier.close()
    assert server.lrange("sent", 0, -1) == [b"hurried", b"patient"]


def test_a_patient_hint_leaves_in_the_midst_of_hurried_ones(server, settings):
    courier = Courier(settings.redis_url)
    courier.send("SET", "sent", 1, patient=True)

    deadline = time.monotonic() + WAIT_SECONDS
    while not server.get("sent") and time.monotonic() < deadline:
        courier.send("INCR", "hurried")

    assert server.get("sent")
    courier.close()


@pytest.fixture
def idle(server, settings):
    """A courier that is connected, and whose thread has nothing to do."""
    courier = Courier(settings.redis_url)
    courier.send("SET", "connected", 1)
    until(lambda: courier._line._connection.is_connected and not courier._line._unanswered)
    yield courier
    courier.close()


def test_a_hint_leaves_before_its_sender_goes_on(server, idle):
    with _held(idle):
        idle.send("SET", "sent", 1)

        until(lambda: server.get("sent"))


def test_what_is_large_leaves_in_the_background(server, idle):
    with _held(idle):
        idle.send("SET", "sent", "x" * (AT_ONCE_BYTES + 1))

        assert len(idle._urgent) == 1

    until(lambda: server.strlen("sent") == AT_ONCE_BYTES + 1)


def test_more_leaves_at_once_when_what_has_left_is_answered(server, idle):
    for number in range(200):
        idle.send("RPUSH", "sent", "x" * 1000, number)
    until(lambda: server.llen("sent") == 400 and not idle._line._unanswered)

    with _held(idle):
        idle.send("RPUSH", "sent", 200)

        until(lambda: server.llen("sent") == 401)
    assert server.lrange("sent", 1, -1)[::2] == [str(number).encode() for number in range(200)]


def test_nothing_overtakes_what_waits_to_leave(server, idle):
    with _held(idle):
        idle.send("RPUSH", "sent", "x" * AT_ONCE_BYTES)
        idle.send("RPUSH", "sent", "behind")
    until(lambda: server.llen("sent") == 2)

    assert server.lrange("sent", 1, 1) == [b"behind"]


def test_a_hint_that_the_server_refuses_takes_no_other_with_it(server, settings, monkeypatch):
    monkeypatch.setattr(hints, "BREAK_SECONDS", 60.0)
    courier, lost = Courier(settings.redis_url), []

    for name in ("one", "two"):
        courier.send("SET", name, 1)
        courier.send("NO-SUCH-COMMAND", lost=lambda: lost.append("refused"))
    courier.close()

    assert server.mget("one", "two") == [b"1", b"1"]
    assert lost == ["refused", "refused"]


def test_a_connection_that_the_server_has_closed_is_opened_again(server, idle):
    assert _ended(server, idle)

    idle.send("SET", "sent", 1)

    until(lambda: server.get("sent"))


def test_what_breaks_while_it_leaves_is_lost_alone(server, idle, monkeypatch):
    lost = []
    with _held(idle):
        monkeypatch.setattr(idle._line, "_stale", lambda: False)
        assert _ended(server, idle)
        for name in ("one", "two"):
            idle.send("SET", name, 1, lost=lambda name=name: lost.append(name))
        monkeypatch.undo()
    until(lambda: lost)

    until(lambda: idle.send("SET", "three", 1) or server.get("three"))
    assert server.mget("one", "two") == [None, None]
    assert lost in (["one"], ["one", "two"])


def test_who_wants_to_know_hears_of_a_hint_whose_answer_never_comes(server, idle):
    lost = []
    server.client_pause(1500, all=True)

    idle.send("SET", "sent", 1, lost=lambda: lost.append("sent"))

    until(lambda: lost)


@contextmanager
def _held(courier):
    """Nothing leaves by the courier's thread."""
    courier._leave, leave = lambda waiting: None, courier._leave
    try:
        yield
    finally:
        courier._leave = leave
        courier._wake.set()


def _ended(server, courier):
    address = courier._line._connection._sock.getsockname()
    return server.client_kill(f"{address[0]}:{address[1]}")
