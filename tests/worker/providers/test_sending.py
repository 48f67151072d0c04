import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import Stopped
from shared.outside import Question
from tests.worker.providers.notebook import Notebook
from worker.providers.asking import Asking
from worker.running import Run

#: What a promised time may be exceeded by.
TOLERANCE_SECONDS = 0.75


@pytest.mark.parametrize("name", ["demo:mode=silent", "demo:mode=drip", "demo:latency=60000"])
def test_an_answer_that_does_not_come_is_given_up_at_the_deadline(failure, model, name):
    started = time.monotonic()

    error = failure(name, seconds=0.6)

    assert error.reason == "provider_timeout"
    assert time.monotonic() - started < 0.6 + TOLERANCE_SECONDS


def test_a_call_that_is_given_up_is_closed(failure, model):
    failure("demo:mode=silent", seconds=0.3)

    assert model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=2)["count"] == 1


def test_nobody_is_asked_for_a_run_that_is_to_stop(ask, model, run):
    run.stop("cancelled")

    with pytest.raises(Stopped):
        ask("demo")

    assert model.totals()["count"] == 0


def stopped_within(ask, run, until, *arguments, **details):
    """Seconds from the stop of a run until its question ends, once `until()` has returned."""
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, *arguments, **details)
        until()
        started = time.monotonic()
        run.stop("cancelled")
        assert isinstance(asking.exception(10), Stopped)
        return time.monotonic() - started


@pytest.mark.parametrize("name", ["demo:mode=silent", "demo:mode=drip", "demo:latency=60000"])
def test_a_call_in_flight_is_cut_when_its_run_stops(ask, model, run, name):
    seconds = stopped_within(ask, run, lambda: model.wait_for(lambda totals: totals["in_flight"] == 1), name)

    assert seconds < 1.0
    assert model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=2)["count"] == 1


def test_a_wait_between_two_tries_ends_when_the_run_stops(ask, model, run):
    name = "demo:status=503,retry_after=4"

    seconds = stopped_within(ask, run, lambda: model.wait_for(lambda totals: totals["answered"] == 1), name)

    assert seconds < 1.0
    assert model.totals()["count"] == 1


def test_a_process_has_no_more_calls_in_flight_than_it_may(ask, model, make_client):
    client = make_client(calls_in_flight=2)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ask("demo:latency=50", client=client), range(6)))

    assert model.totals()["max_in_flight"] == 2


def test_waiting_for_a_place_ends_with_the_time(failure, ask, model, make_client, run, books):
    client = make_client(calls_in_flight=1)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ask, "demo:mode=silent", client=client)
        model.wait_for(lambda totals: totals["in_flight"] == 1)

        error = failure("demo", client=client, seconds=0.3)

        run.stop("cancelled")
        assert isinstance(hanging.exception(5), Stopped)
    assert (error.reason, model.totals()["count"]) == ("provider_timeout", 1)
    assert books.caught_up == ["a/0"]


def test_the_places_are_free_again_after_every_fault(failure, ask, make_client, model):
    client = make_client(calls_in_flight=1)
    for name in ("demo:status=400", "demo:mode=reset", "demo:mode=html", "demo:mode=huge", "demo:mode=refusal"):
        failure(name, client=client)

    assert len(ask("demo", client=client).calls) == 1


def test_runs_that_stop_leave_no_call_behind(ask, model, make_client, run):
    client = make_client(calls_in_flight=1)
    stopped_within(
        ask, run, lambda: model.wait_for(lambda totals: totals["in_flight"] == 1), "demo:mode=silent", client=client
    )

    other = Asking(Run(run.claim), "a/0", 5, {}, Notebook(), 1)

    assert len(client.ask(Question([{"role": "user", "content": "hi"}], "demo"), other).calls) == 1
