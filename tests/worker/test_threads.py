import threading

import pytest

from shared import log
from worker.threads import Threads

WAIT_SECONDS = 5.0


@pytest.fixture
def threads():
    pool = Threads(2)
    yield pool
    pool.close()


def test_work_runs_on_another_thread(threads):
    ran, done = [], threading.Event()

    def work():
        ran.append(threading.current_thread())
        done.set()

    assert threads.spawn(work)
    assert done.wait(WAIT_SECONDS)
    assert ran != [threading.current_thread()]


def test_no_work_is_taken_while_every_thread_is_busy(threads):
    let_go, refused = threading.Event(), []
    taken = [threads.spawn(let_go.wait) for _ in range(2)]

    assert (taken, threads.spawn(lambda: refused.append(1))) == ([True, True], False)

    let_go.set()
    assert refused == []


@pytest.mark.parametrize("work", [lambda: None, lambda: 1 / 0])
def test_a_thread_is_free_again_after_its_work(threads, work):
    done = threading.Semaphore(0)

    def counted():
        try:
            work()
        finally:
            done.release()

    for _ in range(20):
        while not threads.spawn(counted):
            assert done.acquire(timeout=WAIT_SECONDS)


def test_work_has_the_log_s_ids_of_who_spawned_it(threads):
    seen, done = [], threading.Event()

    def work():
        seen.append(dict(log._ids.get() or {}))
        done.set()

    with log.context(execution="e"):
        threads.spawn(work)

    assert done.wait(WAIT_SECONDS)
    assert seen == [{"execution": "e"}]
