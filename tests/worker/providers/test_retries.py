import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.errors import Parked
from worker.providers.retries import BUDGET_CAP

#: What a promised time may be exceeded by.
TOLERANCE_SECONDS = 0.75


def test_retries_end_with_the_time(failure, model):
    started = time.monotonic()

    failure("demo:status=500,latency=200", seconds=0.7, attempts=10)

    assert time.monotonic() - started < 0.7 + TOLERANCE_SECONDS
    assert 1 < model.totals()["count"] < 5


def test_a_fault_that_passes_is_survived(ask):
    assert len(ask("demo:status=500,times=2", attempts=3).calls) == 3


@pytest.mark.parametrize("mode", ["html", "no_choices", "null_content"])
def test_an_answer_without_sense_is_asked_for_once_more(failure, model, mode):
    failure(f"demo:mode={mode}", attempts=4)

    assert model.totals()["count"] == 2


def test_two_kinds_of_answers_without_sense_are_no_reason_for_two_more_tries(failure, model):
    model.script([{"mode": "html", "times": 1}, {"mode": "null_content"}])

    assert (failure("demo", attempts=4).reason, model.totals()["count"]) == ("provider_empty", 2)


def test_only_the_call_that_nothing_followed_is_kept(ask, failure):
    assert [call.kept for call in ask("demo:mode=null_content,times=1").calls] == [False, True]
    assert [call.kept for call in failure("demo:mode=null_content").calls] == [False, True]


def test_the_budget_bounds_the_retries_of_a_line(failure, model):
    for _ in range(15):
        failure("demo:status=429", attempts=2)

    assert model.totals()["count"] == 15 + BUDGET_CAP


def test_each_model_has_a_budget_of_its_own(failure, ask):
    for _ in range(15):
        failure("demo:status=429", attempts=2)

    assert len(ask("demo:status=429,times=1").calls) == 2


def test_ten_answers_earn_one_retry(failure, ask, model):
    model.script([{"status": 429}])
    for _ in range(15):
        failure("demo", attempts=2)
    model.script([])
    for _ in range(11):
        ask("demo")
    model.script([{"status": 429}])

    assert [len(failure("demo", attempts=2).calls) for _ in range(2)] == [2, 1]


def test_a_long_wait_parks(ask, model):
    with pytest.raises(Parked) as caught:
        ask("demo:status=429,retry_after=30")

    (call,) = caught.value.calls
    assert (caught.value.seconds, call.outcome, call.kept) == (30, "provider_rate_limited", False)


def test_a_line_that_is_to_rest_is_not_asked_for_anybody(ask, model):
    for _ in range(2):
        with pytest.raises(Parked):
            ask("demo:status=429,retry_after=30")

    assert model.totals()["count"] == 1


def test_the_last_attempt_does_not_park(failure):
    assert failure("demo:status=429,retry_after=30", attempts=1).reason == "provider_rate_limited"


def test_calls_from_before_a_park_count(failure, model):
    failure("demo:status=500", attempts=3, sent_before=2)

    assert model.totals()["count"] == 1


def test_retry_after_is_honoured(ask):
    started = time.monotonic()

    answer = ask("demo:status=429,times=1,retry_after=0.6")

    assert (len(answer.calls), time.monotonic() - started >= 0.6) == (2, True)


def test_retry_after_may_be_a_date(ask, model):
    due = datetime.now(UTC) + timedelta(seconds=2)
    model.script([{"status": 503, "retry_after": format_datetime(due, usegmt=True), "times": 1}])

    ask("demo")

    assert datetime.now(UTC) >= due.replace(microsecond=0)


@pytest.mark.parametrize("retry_after", ["3600", "inf", "1e400"])
def test_a_wait_beyond_the_deadline_is_not_begun(failure, retry_after):
    started = time.monotonic()

    error = failure(f"demo:status=429,retry_after={retry_after}", seconds=5.0)

    assert (error.reason, len(error.calls)) == ("provider_rate_limited", 1)
    assert time.monotonic() - started < TOLERANCE_SECONDS


@pytest.mark.parametrize("retry_after", ["soon", "-1", "nan", ""])
def test_a_retry_after_without_sense_is_passed_over(ask, retry_after):
    assert len(ask(f"demo:status=429,times=1,retry_after={retry_after}").calls) == 2
