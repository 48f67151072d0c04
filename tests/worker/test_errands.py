"""Errands keep to their bounds, whatever they are."""

import threading

import pytest

from shared.errors import Unavailable
from worker.errands import Errands


class Digging:
    """An errand with a number of holes to dig; each waits for the word."""

    queue = "holes"

    def __init__(self, *, due, concurrency=10):
        self.concurrency = concurrency
        self.due = due
        self.begun = threading.Semaphore(0)
        self.word = threading.Event()

    def one(self):
        if self.due == 0:
            return False
        self.due -= 1
        self.begun.release()
        self.word.wait(10)
        return True

    def backlog(self, connection):
        return self.due

    def close(self):
        self.word.set()


@pytest.fixture
def draining():
    return threading.Event()


def work(errands, draining, seconds=10.0):
    return errands.work("holes", seconds=seconds, draining=draining)


@pytest.mark.parametrize(
    ("concurrency", "slots", "alone", "most"),
    [(10, 8, False, 2), (10, 1, False, 1), (1, 8, False, 1), (10, 3, True, 3)],
)
def test_errands_have_their_part_of_the_slots(draining, concurrency, slots, alone, most):
    digging = Digging(due=100, concurrency=concurrency)
    errands = Errands([digging], slots=slots, alone=alone)
    threads = [threading.Thread(target=work, args=(errands, draining, 0.0)) for _ in range(most)]
    for each in threads:
        each.start()
        assert digging.begun.acquire(timeout=5)

    assert not work(errands, draining)
    assert errands.busy() == most

    errands.close()
    for each in threads:
        each.join()
    assert errands.busy() == 0


def test_a_permit_does_what_is_due_and_asks_for_no_other(draining):
    digging = Digging(due=3)
    digging.word.set()

    assert not work(Errands([digging], slots=8), draining)
    assert digging.due == 0


def test_a_permit_whose_time_is_over_asks_for_another(draining):
    digging = Digging(due=3)
    digging.word.set()

    assert work(Errands([digging], slots=8), draining, seconds=0.0)
    assert digging.due == 2


def test_nothing_is_begun_while_the_process_drains(draining):
    digging = Digging(due=3)
    draining.set()

    assert not work(Errands([digging], slots=8), draining)
    assert digging.due == 3


def test_postgres_away_ends_a_permit_and_frees_its_place(draining):
    class Away(Digging):
        def one(self):
            raise Unavailable

    errands = Errands([Away(due=1)], slots=8)

    assert not work(errands, draining)
    assert errands.busy() == 0
