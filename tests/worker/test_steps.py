"""What a layer may do with what is inside of it: run it, as often as it likes, and so many at once."""

from dataclasses import replace
from threading import Barrier, Event, Lock, Thread, get_ident

import pytest

from shared.errors import Fenced, LayerFailed, Parked
from shared.plan import SKIPPED, Result
from tests.factories import layer
from worker.steps import Host, Inner, Steps

WAIT_SECONDS = 5.0


def alone(work):
    """Spawns nothing: the caller does all the work."""
    return False


def threaded(work):
    """Spawns without bound."""
    Thread(target=work, daemon=True).start()
    return True


def passing(found, values, inner):
    return Result(found.path, passed=True, seconds=0.0, output=(found.path, values.get("item")))


def steps(run_layer=passing, *, spawn=alone, done=None, check=lambda: None, recorded=None):
    kept = [] if recorded is None else recorded
    return Steps(done or {}, Host(run_layer, lambda result, last: kept.append(result.path), spawn, check))


def inner(*layers, **options):
    outer = replace(layer("a", name="each"), layers=layers)
    return Inner(steps(**options), outer, {"outer": 1}, 1e12)


def test_inner_layers_run_under_the_path_of_their_layer_and_see_more_names():
    recorded = []

    found = inner(layer("x", 0), layer("x", name="last"), recorded=recorded).run({"item": "i"}, "[3]")

    assert (found, recorded) == (("a/each[3]/last", "i"), ["a/each[3]/0", "a/each[3]/last"])


def test_an_inner_layer_that_fails_fails_the_layer_around_it_with_its_reason_and_path():
    def failing(found, values, inner):
        return Result(found.path, passed=False, seconds=0.0, error="broken", reason="provider_error")

    with pytest.raises(LayerFailed, match=r"a/each\[0\]/0: broken") as caught:
        inner(layer("x"), run_layer=failing).run({}, "[0]")

    assert caught.value.reason == "provider_error"


def test_inner_layers_that_are_done_do_not_run_again():
    done = {"a/each[0]/0": Result("a/each[0]/0", passed=True, seconds=0.0, output="kept")}

    assert inner(layer("x"), done=done, run_layer=None).run({}, "[0]") == "kept"


def test_inner_layers_that_are_all_skipped_give_nothing():
    assert inner(replace(layer("x"), reads=frozenset({"absent"}))).run({}, "[0]") is SKIPPED


def test_less_time_inside_is_less_time_further_in():
    assert inner().within(5.0).within(7.0).until == 5.0


def test_so_many_at_once_and_each_once():
    barrier, lock, done = Barrier(4), Lock(), []

    def work(number):
        barrier.wait(WAIT_SECONDS)
        with lock:
            done.append(number)

    inner(spawn=threaded).each(12, work, 4)

    assert sorted(done) == list(range(12))


def test_never_more_at_once_than_asked_for():
    lock, running, most = Lock(), 0, 0

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        Event().wait(0.001)
        with lock:
            running -= 1

    inner(spawn=threaded).each(60, work, 3)

    assert most <= 3


def test_without_a_free_thread_the_caller_does_it_all():
    done = []

    inner().each(5, done.append, 10)

    assert done == [0, 1, 2, 3, 4]


def test_the_first_error_ends_the_rest():
    done = []

    def work(number):
        done.append(number)
        if number == 2:
            raise LayerFailed("internal", "third")

    with pytest.raises(LayerFailed, match="third"):
        inner().each(10, work, 1)

    assert done == [0, 1, 2]


def test_a_failure_goes_before_a_wait_and_a_short_wait_before_a_long_one():
    both, barrier = [Parked(9.0), Parked(7.0)], Barrier(2)

    def work(number):
        barrier.wait(WAIT_SECONDS)
        raise both[number]

    with pytest.raises(Parked) as caught:
        inner(spawn=threaded).each(2, work, 2)
    assert caught.value.seconds == 7.0

    both[0] = LayerFailed("internal", "broken")
    with pytest.raises(LayerFailed):
        inner(spawn=threaded).each(2, work, 2)


def test_what_is_given_up_is_not_waited_for():
    hangs, let_go, caller = Event(), Event(), get_ident()

    def work(number):
        if get_ident() == caller:
            hangs.wait(WAIT_SECONDS)
        else:
            hangs.set()
            let_go.wait(2 * WAIT_SECONDS)

    def check():
        raise Fenced("given up")

    with pytest.raises(Fenced):
        inner(spawn=threaded, check=check).each(2, work, 2)
    let_go.set()


def test_nothing_to_do_is_done_at_once():
    inner(run_layer=None).each(0, None, 10)
