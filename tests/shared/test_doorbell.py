import threading
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest
import redis

from shared import doorbell
from shared.doorbell import Listener, Waiters
from shared.errors import Unavailable
from tests.chaos.proxy import in_front_of
from tests.waiting import until

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


@pytest.fixture
def waiters():
    """Those who wait in a process that sees nothing by itself."""
    waiters = Waiters(lambda uuids: ())
    yield waiters
    waiters.close()


@pytest.fixture
def looking(monkeypatch):
    """Have waiters look often, by a function: `looking(lambda uuids: …)`."""
    monkeypatch.setattr(doorbell, "LOOK_SECONDS", 0.02)
    started = []

    def looking(over):
        started.append(Waiters(over))
        started[-1].start()
        return started[-1]

    yield looking
    for each in started:
        each.close()


def wait_in_thread(bell, seconds):
    """A wait on another thread, and its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(bell.wait(seconds)))
    thread.start()
    return thread, answers


def test_a_waiter_is_woken_by_its_ring(waiters):
    uuid = uuid4()

    with waiters.expecting(uuid) as bell:
        thread, answers = wait_in_thread(bell, WAIT_SECONDS)
        waiters.heard(uuid)
        thread.join(1.0)

    assert answers == [True]


def test_a_ring_before_the_wait_is_not_missed(waiters):
    uuid = uuid4()

    with waiters.expecting(uuid) as bell:
        waiters.heard(uuid)

        assert bell.wait(0)


def test_a_ring_for_another_execution_wakes_nobody(waiters):
    with waiters.expecting(uuid4()) as bell:
        waiters.heard(uuid4())

        assert not bell.rung.is_set()


def test_everybody_who_waits_for_an_execution_is_woken(waiters):
    uuid = uuid4()

    with waiters.expecting(uuid) as first, waiters.expecting(uuid) as second:
        waiters.heard(uuid)

        assert first.rung.is_set()
        assert second.rung.is_set()


def test_a_ring_that_was_missed_is_made_up_for(looking):
    ended, going = uuid4(), uuid4()
    waiters = looking(lambda uuids: [each for each in uuids if each == ended])

    with waiters.expecting(ended) as first, waiters.expecting(going) as second:
        assert first.wait(WAIT_SECONDS)
        assert not second.wait(0.1)


def test_one_look_is_for_everybody(looking):
    looks, uuids = [], [uuid4() for _ in range(50)]
    waiters = looking(lambda found: looks.append(set(found)) or ())

    with ExitStack() as hung_up:
        for uuid in uuids:
            hung_up.enter_context(waiters.expecting(uuid)).wait(0)
        until(lambda: set(uuids) in looks, WAIT_SECONDS)


def test_nobody_looks_for_what_may_not_be_there_yet(looking):
    looks = []
    waiters = looking(lambda uuids: looks.append(uuids) or uuids)

    with waiters.expecting(uuid4()) as early, waiters.expecting(uuid4()) as bell:
        assert bell.wait(WAIT_SECONDS)

        assert not early.rung.is_set()


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("a fault of ours")])
def test_looks_go_on_after_one_that_failed(looking, fault):
    faults = [fault] * 3

    def over(uuids):
        if faults:
            raise faults.pop()
        return uuids

    with looking(over).expecting(uuid4()) as bell:
        assert bell.wait(WAIT_SECONDS)

    assert not faults


def test_a_wait_ends_with_its_time(waiters):
    started = time.monotonic()

    with waiters.expecting(uuid4()) as bell:
        assert bell.wait(0.2) is False

    assert 0.2 <= time.monotonic() - started < 1.0


def test_waiters_are_let_go_when_the_process_closes(waiters):
    with waiters.expecting(uuid4()) as bell:
        thread, _ = wait_in_thread(bell, WAIT_SECONDS)
        waiters.close()
        thread.join(1.0)

    assert not thread.is_alive()


def test_nobody_begins_to_wait_in_a_process_that_closes(waiters):
    waiters.close()

    with waiters.expecting(uuid4()) as bell:
        assert not bell.wait(WAIT_SECONDS)


def test_nothing_is_kept_of_those_who_have_waited(waiters):
    with waiters.expecting(uuid4()):
        pass

    assert not waiters._bells
