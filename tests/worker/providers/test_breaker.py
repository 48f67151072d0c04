import pytest

from shared.errors import Parked
from worker.providers import breaker
from worker.providers.breaker import LEAST_CALLS, Breakers
from worker.providers.faults import ProviderFault


def opened():
    """Breakers of which that of `line` has just opened."""
    breakers = Breakers()
    for _ in range(LEAST_CALLS):
        breakers.ended("line", failed=True, reason="provider_error")
    return breakers


@pytest.fixture
def ready(monkeypatch):
    """Breakers of which that of `line` has opened, and lets its probe through already."""
    monkeypatch.setattr(breaker, "COOL_DOWN_SECONDS", 0.0)
    return opened()


def test_a_model_that_keeps_failing_is_not_asked(failure, ask, model, monkeypatch):
    monkeypatch.setattr(breaker, "COOL_DOWN_SECONDS", 10.0)
    for _ in range(LEAST_CALLS):
        failure("demo:status=500", attempts=1)

    with pytest.raises(Parked) as caught:
        ask("demo:status=500")

    assert (caught.value.calls, model.totals()["count"]) == ((), LEAST_CALLS)


def test_other_models_of_the_same_key_are_asked(failure, ask):
    for _ in range(LEAST_CALLS):
        failure("demo:status=500", attempts=1)

    assert ask("demo").details == {"model": "default/demo"}


def test_a_model_that_is_left_alone_is_replaced_at_once(failure, ask, model):
    for _ in range(LEAST_CALLS):
        failure("demo:status=500", attempts=1)

    answer = ask("demo:status=500", fallback=("demo",))

    assert (answer.details["model"], len(answer.calls)) == ("default/demo", 1)


def test_a_probe_that_is_answered_lets_all_through_again(ready, failure, ask, model):
    model.script([{"status": 500}])
    for _ in range(LEAST_CALLS):
        failure("demo", attempts=1)
    model.script([])

    assert [len(ask("demo").calls) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["demo:status=429", "demo:status=400", "demo:status=404", "demo:mode=refusal"])
def test_what_the_model_is_not_to_blame_for_does_not_open_it(failure, model, name):
    for _ in range(LEAST_CALLS + 1):
        failure(name, attempts=1)

    assert model.totals()["count"] == LEAST_CALLS + 1


def test_half_of_the_calls_are_enough():
    breakers = Breakers()

    for number in range(LEAST_CALLS):
        breakers.ended("line", failed=number % 2 == 1, reason="provider_overloaded")

    admission = breakers.admit("line")
    assert (admission.wait_seconds > 0, admission.reason) == (True, "provider_overloaded")


def test_fewer_than_half_are_not():
    breakers = Breakers()

    for number in range(100):
        breakers.ended("line", failed=number % 5 == 0, reason="provider_error")

    assert breakers.admit("line").wait_seconds == 0


def test_what_is_long_ago_does_not_count(monkeypatch):
    breakers = Breakers()
    for _ in range(LEAST_CALLS - 1):
        breakers.ended("line", failed=True, reason="provider_error")
    monkeypatch.setattr(breaker, "WINDOW_SECONDS", 0.0)

    breakers.ended("line", failed=True, reason="provider_error")

    assert breakers.admit("line").wait_seconds == 0


def test_one_call_probes(ready):
    admissions = [ready.admit("line") for _ in range(3)]

    assert [each.probe for each in admissions] == [True, False, False]
    assert [each.wait_seconds > 0 for each in admissions] == [False, True, True]


def test_a_probe_that_fails_makes_the_next_one_later(monkeypatch, eventually):
    monkeypatch.setattr(breaker, "COOL_DOWN_SECONDS", 0.4)
    breakers = opened()
    eventually(lambda: breakers.admit("line").probe)

    breakers.ended("line", failed=True, reason="provider_error", probe=True)

    assert breakers.admit("line").wait_seconds > 1.25 * 0.4


def test_nobody_waits_for_a_model_whose_probes_keep_failing(ready):
    for _ in range(breaker.LASTING_PROBES):
        assert ready.admit("line").probe
        assert not ready.admit("line").lasting
        ready.ended("line", failed=True, reason="provider_error", probe=True)

    assert ready.admit("line").probe
    assert ready.admit("line").lasting


def test_a_probe_without_a_word_is_followed_by_another(ready):
    assert ready.admit("line").probe

    ready.ended("line", failed=None, probe=True)

    assert ready.admit("line").probe


def test_late_failures_of_others_are_not_the_probe_s(ready):
    assert ready.admit("line").probe

    ready.ended("line", failed=True, reason="provider_error")

    assert not ready.admit("line").probe


def test_late_answers_of_others_do_not_close_it():
    breakers = opened()

    breakers.ended("line", failed=False)

    assert breakers.admit("line").wait_seconds > 0


@pytest.mark.parametrize(("seconds", "speaks"), [(60.0, True), (0.5, False)])
def test_a_time_out_speaks_against_a_model_that_had_time(seconds, speaks):
    fault = ProviderFault("provider_timeout", "late", lost=True)

    assert breaker.speaks_against_model(fault, seconds) is speaks
