"""Answers that are made in the background: waited for, fetched again, cancelled, and never paid twice."""

import threading
import time

import pytest

from shared.errors import LayerFailed, Stopped
from shared.ledger import Intent
from shared.plan import Usage
from worker.alarms import Alarms
from worker.providers import background

#: What a promised time may be exceeded by.
TOLERANCE_SECONDS = 0.75
ESTIMATE = Usage(10, 100, 110)
OBJECT = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}


@pytest.fixture
def client(make_client, monkeypatch):
    """A client of a provider with a responses API, that looks often."""
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.02)
    return make_client(providers='{"default": {"responses": true}}')


@pytest.fixture
def wait_for(ask, client):
    """Ask for an answer in the background and wait for it."""
    return lambda name="demo", **question: ask(name, client=client, background=True, **question)


@pytest.fixture
def left_behind(model, wait_for, run, books):
    """Have an answer made whose asker is gone: `left_behind("demo:duration=200")`; returns its id."""

    def left_behind(name):
        Alarms().after(0.1, lambda: run.stop("drain"))
        with pytest.raises(Stopped):
            wait_for(name)
        run._cause = None
        run.stopping.clear()
        number, response_id = books.attached.pop()
        books.earlier = [Intent(number, "a/0", f"default/{name}", ESTIMATE, None, response_id)]
        return response_id

    return left_behind


def failure(wait_for, *arguments, **details):
    with pytest.raises(LayerFailed) as caught:
        wait_for(*arguments, **details)
    return caught.value


def test_the_answer_is_that_of_a_chat_with_its_usage_and_one_call(ask, wait_for, model, books):
    chat = ask("demo")
    model.script([{"duration_ms": 100}])

    answer = wait_for()

    assert (answer.output, answer.usage) == (chat.output, chat.usage)
    assert books.attached == [(2, answer.provider_response_id)]
    assert [call["path"] for call in model.calls()] == ["/v1/chat/completions", "/v1/responses"]


def test_looks_are_further_and_further_apart(wait_for, model, monkeypatch):
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(background, "PAUSE_GROWTH", 2.0)

    wait_for("demo:duration=1000")

    # At 0.05, 0.15, 0.35, 0.75 and 1.55 seconds.
    assert model.polls()[0] <= 5


def test_everything_that_a_chat_can_be_told_is_told(wait_for, model):
    wanted = {"type": "json_schema", "json_schema": {"name": "review", "schema": OBJECT, "strict": False}}

    answer = wait_for(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        response_format=wanted,
        temperature=0.5,
        max_tokens=50,
    )

    assert answer.output.startswith('{"score":')


@pytest.mark.parametrize(
    ("name", "reason", "calls"),
    [
        ("demo:mode=failed", "provider_error", 2),
        ("demo:mode=length", "output_truncated", 1),
        ("demo:mode=content_filter", "provider_refused", 1),
        ("demo:mode=refusal", "provider_refused", 1),
        ("demo:mode=null_content", "provider_empty", 2),
        ("demo:mode=no_choices", "provider_empty", 2),
        ("demo:mode=forgotten,duration=50", "provider_not_found", 2),
        ("demo:status=400", "provider_bad_request", 1),
        ("demo:status=500", "provider_error", 2),
        ("demo:mode=reset", "provider_unreachable", 2),
        ("demo:mode=html", "provider_garbage", 2),
    ],
)
def test_a_fault_has_its_reason_and_is_retried_where_that_can_help(wait_for, model, name, reason, calls):
    error = failure(wait_for, name)

    assert (error.reason, len(model.calls())) == (reason, calls)


def test_what_was_counted_for_an_answer_that_was_cut_short_is_booked(wait_for):
    error = failure(wait_for, "demo:mode=length")

    assert [(call.outcome, call.usage is not None, call.uncertain) for call in error.calls] == [
        ("output_truncated", True, False)
    ]


def test_a_look_that_fails_is_no_failure(wait_for, model):
    assert wait_for("demo:mode=unsteady,duration=10").output
    assert (len(model.calls()), model.polls()) == (1, [3])


def test_an_answer_that_takes_too_long_is_cancelled_at_the_provider(wait_for, model):
    started = time.monotonic()

    error = failure(wait_for, "demo:duration=60000", seconds=0.4)

    assert time.monotonic() - started < 0.4 + TOLERANCE_SECONDS
    assert (error.reason, [call.uncertain for call in error.calls]) == ("provider_timeout", [True])
    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=2)
    assert model.calls()[0]["cut"]


@pytest.mark.parametrize("cause", ["cancelled", "deadline"])
def test_an_execution_that_ends_cancels_its_answer_at_the_provider(wait_for, model, run, cause):
    Alarms().after(0.2, lambda: run.stop(cause))

    with pytest.raises(Stopped):
        wait_for("demo:duration=60000")

    model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=1)
    assert model.calls()[0]["cut"]


@pytest.mark.parametrize("cause", ["drain", "lost"])
def test_an_answer_that_somebody_else_will_fetch_is_not_cancelled(wait_for, model, run, cause):
    Alarms().after(0.2, lambda: run.stop(cause))

    with pytest.raises(Stopped):
        wait_for("demo:duration=1000")

    model.wait_for(lambda totals: totals["answered"] == 1, seconds=3)


def test_an_answer_that_was_left_behind_is_fetched_and_booked_once(left_behind, wait_for, model):
    response_id = left_behind("demo:duration=400")

    answer = wait_for("demo:duration=400")

    assert answer.provider_response_id == response_id
    assert [(call.outcome, call.number, call.uncertain, call.kept) for call in answer.calls] == [
        ("answered", 1, False, True)
    ]
    assert len(model.calls()) == 1


def test_an_answer_that_the_provider_has_forgotten_is_asked_for_anew(left_behind, wait_for, model):
    left_behind("demo:duration=100")
    model.forget_responses()

    answer = wait_for("demo:duration=100")

    assert [(call.outcome, call.uncertain, call.kept) for call in answer.calls] == [
        ("provider_not_found", True, False),
        ("answered", False, True),
    ]
    assert len(model.calls()) == 2


def test_an_answer_that_was_left_behind_may_have_failed_for_good(left_behind, wait_for, model):
    left_behind("demo:mode=refusal,duration=300")

    error = failure(wait_for, "demo:mode=refusal,duration=300")

    assert (error.reason, len(model.calls())) == ("provider_refused", 1)


def test_a_provider_without_responses_is_a_fault_before_any_call(ask, model):
    error = failure(lambda: ask("demo", background=True))

    assert (error.reason, error.calls, model.calls()) == ("config", (), [])


def test_no_thread_is_left_behind(wait_for):
    failure(wait_for, "demo:duration=60000", seconds=0.2)

    until = time.monotonic() + 5
    while any(each.name == "cancels an answer" for each in threading.enumerate()):
        assert time.monotonic() < until
