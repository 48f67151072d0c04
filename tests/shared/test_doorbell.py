import threading
import time
from uuid import uuid4

import pytest
import redis

from shared import doorbell
from shared.doorbell import Listener, Waiters
from tests.chaos.proxy import in_front_of

WAIT_SECONDS = 5.0


@pytest.fixture
def heard(database, settings):
    """Rings on a channel as a process hears them: `heard(uuid)` waits for one."""
    rings, arrived = [], threading.Condition()

    def hear(uuid):
        with arrived:
            rings.append(uuid)
            arrived.notify_all()

    listener = Listener(settings.redis_url, doorbell.ENDED, hear)

    def heard(uuid, *, seconds=WAIT_SECONDS):
        """Ring until it is heard: a listener that is still subscribing misses the first."""
        until = time.monotonic() + seconds
        while uuid not in rings and time.monotonic() < until:
            doorbell.ring(doorbell.ENDED, uuid)
            with arrived:
                arrived.wait(0.1)
        return uuid in rings

    yield heard
    listener.close()


def test_a_ring_is_heard(heard):
    assert heard(uuid4())


def test_rings_are_heard_again_after_the_connection_was_lost(heard, settings):
    heard(uuid4())
    with redis.Redis.from_url(settings.redis_url) as client:
        client.client_kill_filter(_type="pubsub")

    assert heard(uuid4())


def test_a_ring_that_is_no_uuid_is_survived(heard, settings):
    heard(uuid4())
    with redis.Redis.from_url(settings.redis_url) as client:
        client.publish(doorbell.ENDED, "\xff no uuid")

    assert heard(uuid4())


def test_rings_are_heard_again_after_the_broker_vanished_without_a_word(database, settings, monkeypatch):
    monkeypatch.setattr(doorbell, "_PING_SECONDS", 1)
    monkeypatch.setattr(doorbell, "_UNANSWERED_PINGS", 2)
    rings, uuid = [], uuid4()
    with in_front_of(settings.redis_url) as (proxy, url):
        listener = Listener(url, doorbell.ENDED, rings.append)
        ring_until(lambda: rings, uuid)

        proxy.silence()
        proxy.heal()
        rings.clear()

        assert ring_until(lambda: rings, uuid)
        listener.close()


def ring_until(heard, uuid):
    """Ring until something is heard; false where that takes too long."""
    until = time.monotonic() + WAIT_SECONDS
    while not heard() and time.monotonic() < until:
        doorbell.ring(doorbell.ENDED, uuid)
        time.sleep(0.05)
    return bool(heard())


def test_ringing_without_a_broker_holds_nobody_up(database, settings):
    doorbell.broker.connect(settings.__class__(redis_url="redis://127.0.0.1:1"))
    started = time.monotonic()

    for _ in range(1000):
        doorbell.ring(doorbell.ENDED, uuid4())

    assert time.monotonic() - started < 0.3


def wait_in_thread(bell, seconds, ended):
    """A wait on another thread, and its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(bell.wait(seconds, ended)))
    thread.start()
    return thread, answers


def test_a_waiter_is_woken_by_its_ring():
    waiters, uuid, rung = Waiters(), uuid4(), threading.Event()

    with waiters.expecting(uuid) as bell:
        thread, answers = wait_in_thread(bell, WAIT_SECONDS, rung.is_set)
        rung.set()
        waiters.heard(uuid)
        thread.join(1.0)

    assert answers == [True]


def test_a_ring_before_the_wait_is_not_missed():
    waiters, uuid = Waiters(), uuid4()

    with waiters.expecting(uuid) as bell:
        waiters.heard(uuid)
        started = time.monotonic()
        assert bell.wait(WAIT_SECONDS, lambda: True)

    assert time.monotonic() - started < 1.0


def test_a_ring_for_another_execution_wakes_nobody():
    waiters = Waiters()

    with waiters.expecting(uuid4()) as bell:
        waiters.heard(uuid4())

        assert not bell.rung.is_set()


def test_everybody_who_waits_for_an_execution_is_woken():
    waiters, uuid = Waiters(), uuid4()

    with waiters.expecting(uuid) as first, waiters.expecting(uuid) as second:
        waiters.heard(uuid)

        assert first.rung.is_set()
        assert second.rung.is_set()


def test_a_waiter_without_a_ring_looks_all_the_same(monkeypatch):
    monkeypatch.setattr(doorbell, "LOOK_SECONDS", 0.05)
    looks = []

    with Waiters().expecting(uuid4()) as bell:
        assert bell.wait(WAIT_SECONDS, lambda: len(looks) == 3 or looks.append(1))

    assert len(looks) == 3


def test_a_wait_ends_with_its_time():
    started = time.monotonic()

    with Waiters().expecting(uuid4()) as bell:
        assert bell.wait(0.2, lambda: False) is False

    assert 0.2 <= time.monotonic() - started < 1.0


def test_waiters_are_let_go_when_the_process_closes():
    waiters = Waiters()

    with waiters.expecting(uuid4()) as bell:
        thread, _ = wait_in_thread(bell, WAIT_SECONDS, lambda: False)
        waiters.close()
        thread.join(1.0)

    assert not thread.is_alive()


def test_nothing_is_kept_of_those_who_have_waited():
    waiters, uuid = Waiters(), uuid4()

    with waiters.expecting(uuid):
        pass

    assert not waiters._bells
