import threading
import time

from worker.alarms import Alarms

WAIT_SECONDS = 5.0


def test_an_alarm_rings_when_its_time_has_come():
    rung, started = threading.Event(), time.monotonic()

    Alarms().after(0.1, rung.set)

    assert rung.wait(WAIT_SECONDS)
    assert 0.1 <= time.monotonic() - started < 1.0


def test_alarms_ring_in_the_order_of_their_times():
    rung, all_rung, alarms = [], threading.Event(), Alarms()

    alarms.after(0.2, all_rung.set)
    for seconds in (0.15, 0.05, 0.1):
        alarms.after(seconds, lambda seconds=seconds: rung.append(seconds))

    assert all_rung.wait(WAIT_SECONDS)
    assert rung == [0.05, 0.1, 0.15]


def test_an_alarm_that_is_set_later_and_due_earlier_is_not_late():
    rung, alarms, started = threading.Event(), Alarms(), time.monotonic()
    alarms.after(60, lambda: None)

    alarms.after(0.05, rung.set)

    assert rung.wait(WAIT_SECONDS)
    assert time.monotonic() - started < 1.0


def test_an_alarm_whose_time_is_past_rings_at_once():
    rung = threading.Event()

    Alarms().after(-1, rung.set)

    assert rung.wait(WAIT_SECONDS)


def test_a_cancelled_alarm_does_not_ring():
    rung, after, alarms = threading.Event(), threading.Event(), Alarms()

    alarms.after(0.05, rung.set).cancel()
    alarms.after(0.1, after.set)

    assert after.wait(WAIT_SECONDS)
    assert not rung.is_set()


def test_an_alarm_that_fails_does_not_silence_the_next():
    rung, alarms = threading.Event(), Alarms()

    alarms.after(0.01, lambda: 1 / 0)
    alarms.after(0.05, rung.set)

    assert rung.wait(WAIT_SECONDS)


def test_alarms_due_at_the_same_time_all_ring():
    alarms, rung = Alarms(), threading.Semaphore(0)

    for _ in range(500):
        alarms.after(0.05, rung.release)

    assert all(rung.acquire(timeout=WAIT_SECONDS) for _ in range(500))
