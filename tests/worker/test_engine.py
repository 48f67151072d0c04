"""The engine against tiny plans; a layer's work is a plain function here."""

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock, Thread, get_ident

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Fenced, Stopped
from shared.plan import Result
from tests.factories import layer, plan
from worker import engine
from worker.steps import Host

WAIT_SECONDS = 5.0


def alone(work):
    """Spawns nothing: the caller does all the work."""
    return False


def threaded(work):
    """Spawns without bound."""
    Thread(target=work, daemon=True).start()
    return True


def quietly(work):
    """Spawns without bound, and keeps what the work raises, as a pool of threads does."""
    ThreadPoolExecutor(1).submit(work)
    return True


def passing(found, values):
    return Result(found.path, passed=True, seconds=0.0, output=f"<{found.path}>")


def failing_at(*paths):
    def run_layer(found, values):
        if found.path in paths:
            return Result(found.path, passed=False, seconds=0.0, error="broken", reason="internal")
        return passing(found, values)

    return run_layer


def raising_at(path, error):
    def run_layer(found, values):
        if found.path == path:
            raise error
        return passing(found, values)

    return run_layer


def run(found, *, inputs=None, done=None, run_layer=passing, record=lambda result: None, spawn=alone):
    host = Host(lambda layer, values, inner: run_layer(layer, values), lambda result, last: record(result), spawn)
    past = {path: Result(path, passed=True, seconds=0.0, output=output) for path, output in (done or {}).items()}
    return engine.run(found, inputs or {}, past, host)


def within(seconds, function):
    """The future of a call, ended within its time; TimeoutError where it hangs."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function)
    pool.shutdown(wait=False)
    future.exception(seconds)
    return future


def test_independent_properties_run_at_once():
    barrier = Barrier(4)

    def run_layer(found, values):
        barrier.wait(WAIT_SECONDS)
        return passing(found, values)

    outcome = run(plan({name: set() for name in "abcd"}), run_layer=run_layer, spawn=threaded)

    assert set(outcome.document) == set("abcd")


def test_properties_that_became_ready_together_run_at_once():
    barrier = Barrier(3)

    def run_layer(found, values):
        if found.path != "root/0":
            barrier.wait(WAIT_SECONDS)
        return passing(found, values)

    outcome = run(
        plan({"root": set(), "a": {"root"}, "b": {"root"}, "c": {"root"}}), run_layer=run_layer, spawn=threaded
    )

    assert not outcome.failures


def test_a_property_does_not_wait_for_what_it_does_not_need():
    gone_by = Event()

    def run_layer(found, values):
        if found.path == "slow/0":
            assert gone_by.wait(WAIT_SECONDS)
        if found.path == "second/0":
            gone_by.set()
        return passing(found, values)

    outcome = run(plan({"slow": set(), "first": set(), "second": {"first"}}), run_layer=run_layer, spawn=threaded)

    assert not outcome.failures


def test_the_caller_does_all_the_work_where_no_thread_is_free():
    threads = set()

    def run_layer(found, values):
        threads.add(threading.current_thread())
        return passing(found, values)

    outcome = run(plan({"a": set(), "b": {"a"}, "c": set()}), run_layer=run_layer)

    assert (set(outcome.document), threads) == (set("abc"), {threading.current_thread()})


def test_layers_run_in_order_each_with_the_output_of_the_one_before():
    seen = []

    def run_layer(found, values):
        seen.append((found.path, values.get("previous")))
        return passing(found, values)

    run(plan({"a": set()}, layers=3), run_layer=run_layer)

    assert seen == [("a/0", None), ("a/1", "<a/0>"), ("a/2", "<a/1>")]


def test_a_named_layer_is_known_to_the_later_layers_of_its_property_only():
    seen = {}
    found = plan({"a": set(), "b": {"a"}})
    named = found.properties[0].__class__("a", (layer("a", name="first"), layer("a", 1)), frozenset())
    found = found.__class__((), (named, found.properties[1]), None, 60)

    def run_layer(found, values):
        seen[found.path] = "first" in values
        return passing(found, values)

    run(found, run_layer=run_layer)

    assert seen == {"a/first": False, "a/1": True, "b/0": False}


def test_a_property_reads_inputs_and_what_it_needs():
    seen = {}

    def run_layer(found, values):
        seen[found.path] = dict(values)
        return passing(found, values)

    run(plan({"a": set(), "b": {"a"}}), inputs={"film": "Avatar"}, run_layer=run_layer)

    assert seen["b/0"] == {"film": "Avatar", "a": "<a/0>"}


def test_a_layer_that_is_done_is_not_run_again():
    ran = []

    def run_layer(found, values):
        ran.append((found.path, values["previous"]))
        return passing(found, values)

    outcome = run(plan({"a": set()}, layers=2), done={"a/0": "kept"}, run_layer=run_layer)

    assert (ran, outcome.document) == ([("a/1", "kept")], {"a": "<a/1>"})


def test_a_layer_that_gave_null_is_done_too():
    outcome = run(plan({"a": set()}), done={"a/0": None}, run_layer=raising_at("a/0", AssertionError()))

    assert outcome.document == {"a": None}


def test_every_result_is_recorded_before_anything_uses_it():
    recorded = []

    def run_layer(found, values):
        if found.path == "b/0":
            assert recorded == ["a/0"]
        return passing(found, values)

    run(plan({"a": set(), "b": {"a"}}), run_layer=run_layer, record=lambda result: recorded.append(result.path))

    assert recorded == ["a/0", "b/0"]


def test_a_failing_property_skips_what_depends_on_it_and_nothing_else():
    recorded = {}
    found = plan({"bad": set(), "child": {"bad"}, "grandchild": {"child"}, "good": set(), "better": {"good"}})

    outcome = run(found, run_layer=failing_at("bad/0"), record=lambda each: recorded.update({each.path: each.passed}))

    assert recorded == {"bad/0": False, "good/0": True, "better/0": True}
    assert list(outcome.failures) == ["bad"]


def test_layers_after_a_failed_one_are_not_run():
    recorded = []

    run(plan({"a": set()}, layers=3), run_layer=failing_at("a/1"), record=lambda result: recorded.append(result.path))

    assert recorded == ["a/0", "a/1"]


def test_a_run_with_a_failure_has_no_document():
    outcome = run(plan({"bad": set(), "good": set()}, output="good"), run_layer=failing_at("bad/0"))

    assert outcome.document is None


def test_the_output_names_one_property_s_value():
    assert run(plan({"a": set(), "b": set()}, output="b")).document == "<b/0>"


def test_the_document_has_the_properties_in_the_order_of_the_definition():
    found = plan({"last": {"first"}, "first": set()})

    assert list(run(found).document) == ["last", "first"]


@pytest.mark.parametrize("error", [Fenced("lost"), Stopped("cancelled"), ValueError("a fault of ours")])
@pytest.mark.parametrize("spawn", [alone, quietly])
def test_what_a_layer_raises_is_raised_by_the_run(error, spawn):
    found = plan({"a": set(), "b": set(), "c": set()})

    ended = within(WAIT_SECONDS, lambda: run(found, run_layer=raising_at("c/0", error), spawn=spawn))

    assert ended.exception() is error


@pytest.mark.parametrize("error", [Fenced("lost"), ValueError("a fault of ours")])
def test_what_a_record_raises_is_raised_by_the_run(error):
    found = plan({"a": set(), "b": set(), "c": set()})

    def record(result):
        raise error

    ended = within(WAIT_SECONDS, lambda: run(found, record=record, spawn=quietly))

    assert ended.exception() is error


@pytest.mark.parametrize("error", [Fenced("lost"), Stopped("drain"), ValueError("a fault of ours")])
def test_a_run_that_is_broken_ends_once_no_layer_is_running(error):
    """The broken layer is the caller's or a thread's; the other one is let go only when it has been seen to run."""
    in_flight, let_go, ended = Event(), Event(), []

    def run_layer(found, values):
        if found.path == "bad/0":
            assert in_flight.wait(WAIT_SECONDS)
            Thread(target=let_go.set).start()
            raise error
        in_flight.set()
        assert let_go.wait(WAIT_SECONDS)
        ended.append(found.path)
        return passing(found, values)

    with pytest.raises(type(error)):
        run(plan({"slow": set(), "bad": set()}), run_layer=run_layer, spawn=quietly)

    assert ended == ["slow/0"]


def test_a_run_that_is_given_up_waits_for_no_layer():
    hangs, let_go, error = Event(), Event(), Fenced("given up")

    def given_up():
        caller = get_ident()

        def run_layer(found, values):
            if get_ident() == caller:
                hangs.wait(WAIT_SECONDS)
            else:
                hangs.set()
                let_go.wait(2 * WAIT_SECONDS)
            return passing(found, values)

        def check():
            raise error

        host = Host(lambda layer, values, inner: run_layer(layer, values), lambda result, last: None, quietly, check)
        engine.run(plan({"a": set(), "b": set()}), {}, {}, host)

    assert within(WAIT_SECONDS, given_up).exception() is error
    let_go.set()


def test_nothing_new_starts_once_a_run_is_broken():
    ran = []

    def run_layer(found, values):
        ran.append(found.path)
        raise Stopped("cancelled")

    with pytest.raises(Stopped):
        run(plan({name: set() for name in "abcd"}), run_layer=run_layer)

    assert ran == ["a/0"]


@st.composite
def graphs(draw):
    """Properties that need any of those before them, in any order."""
    names = [f"p{number}" for number in range(draw(st.integers(1, 12)))]
    needs = {name: set(draw(st.lists(st.sampled_from(names[:at])))) if at else set() for at, name in enumerate(names)}
    return {name: needs[name] for name in draw(st.permutations(names))}


def computing(needs, bad):
    """Layers whose output shows all that their property read."""

    def run_layer(found, values):
        name = found.path.partition("/")[0]
        read = {each: values[each] for each in sorted(needs[name])}
        if name in bad:
            return Result(found.path, passed=False, seconds=0.0, error="broken", reason="internal")
        return Result(found.path, passed=True, seconds=0.0, output=[name, read])

    return run_layer


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data())
def test_many_threads_compute_the_same_as_one(needs, data):
    bad = set(data.draw(st.lists(st.sampled_from(sorted(needs)), max_size=2)))
    lock, recorded = Lock(), {True: set(), False: set()}

    def outcome(spawn):
        def record(result):
            with lock:
                recorded[spawn is threaded].add((result.path, result.passed))

        return run(plan(needs), run_layer=computing(needs, bad), record=record, spawn=spawn)

    one, many = outcome(alone), outcome(threaded)

    assert (many.document, set(many.failures)) == (one.document, set(one.failures))
    assert recorded[True] == recorded[False]
