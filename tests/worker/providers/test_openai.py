import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.errors import LayerFailed, Stopped
from shared.plan import Usage
from tests.worker.providers import raw_server
from tests.worker.providers.raw_server import answer, serving
from worker.providers import openai
from worker.running import Run

#: What a promised time may be exceeded by.
TOLERANCE_SECONDS = 0.75


def failure(ask, *arguments, **details):
    with pytest.raises(LayerFailed) as caught:
        ask(*arguments, **details)
    return caught.value


def test_an_answer_has_text_usage_and_the_provider_s_id(ask):
    answer = ask("demo")

    assert isinstance(answer.output, str)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer.provider_response_id.startswith("chatcmpl-")


def test_the_default_model_is_asked_where_none_is_named(ask, model, settings):
    ask(None)

    assert [call["model"] for call in model.calls()] == [settings.default_model]


def test_the_provider_is_told_the_layer(ask, model):
    ask("demo")

    assert [call["layer"] for call in model.calls()] == ["a/0"]


@pytest.mark.parametrize(
    ("name", "reason", "calls"),
    [
        ("demo:status=400", "provider_bad_request", 1),
        ("demo:status=401", "provider_auth", 1),
        ("demo:status=403", "provider_forbidden", 1),
        ("demo:status=404", "provider_not_found", 1),
        ("demo:status=422", "provider_unprocessable", 1),
        ("demo:status=418", "provider_error", 1),
        ("demo:status=408", "provider_error", 2),
        ("demo:status=409", "provider_error", 2),
        ("demo:status=429", "provider_rate_limited", 2),
        ("demo:status=500", "provider_error", 2),
        ("demo:status=502", "provider_error", 2),
        ("demo:status=503", "provider_overloaded", 2),
        ("demo:status=504", "provider_error", 2),
        ("demo:code=rate_limit_exceeded", "provider_rate_limited", 2),
        ("demo:code=slow_down", "provider_rate_limited", 2),
        ("demo:code=server_is_overloaded", "provider_overloaded", 2),
        ("demo:code=insufficient_quota", "provider_quota", 1),
        ("demo:code=credit_balance_exhausted", "provider_quota", 1),
        ("demo:code=organization_spend_limit_exceeded", "provider_quota", 1),
        ("demo:code=project_spend_limit_exceeded", "provider_quota", 1),
        ("demo:code=organization_usage_limit_exceeded", "provider_quota", 1),
        ("demo:code=context_length_exceeded", "provider_bad_request", 1),
        ("demo:mode=truncated", "provider_unreachable", 2),
        ("demo:mode=reset", "provider_unreachable", 2),
        ("demo:mode=html", "provider_garbage", 2),
        ("demo:mode=no_choices", "provider_empty", 2),
        ("demo:mode=null_content", "provider_empty", 2),
        ("demo:mode=huge", "provider_garbage", 1),
        ("demo:mode=endless", "provider_garbage", 1),
        ("demo:mode=redirect", "provider_error", 1),
        ("demo:mode=refusal", "provider_refused", 1),
        ("demo:mode=content_filter", "provider_refused", 1),
        ("demo:mode=length", "output_truncated", 1),
    ],
)
def test_a_fault_has_its_reason_and_is_retried_where_that_can_help(ask, model, name, reason, calls):
    error = failure(ask, name)

    assert (error.reason, error.calls, model.totals()["count"]) == (reason, calls, calls)


@pytest.mark.parametrize("name", ["demo:mode=silent", "demo:mode=drip", "demo:latency=60000"])
def test_an_answer_that_does_not_come_is_given_up_at_the_deadline(ask, model, name):
    started = time.monotonic()

    error = failure(ask, name, seconds=0.6)

    assert error.reason == "provider_timeout"
    assert time.monotonic() - started < 0.6 + TOLERANCE_SECONDS


def test_a_call_that_is_given_up_is_closed(ask, model):
    failure(ask, "demo:mode=silent", seconds=0.3)

    assert model.wait_for(lambda totals: totals["in_flight"] == 0, seconds=2)["count"] == 1


def test_retries_end_with_the_time(ask, model):
    started = time.monotonic()

    failure(ask, "demo:status=500,latency=200", seconds=0.7, attempts=10)

    assert time.monotonic() - started < 0.7 + TOLERANCE_SECONDS
    assert 1 < model.totals()["count"] < 5


def test_a_fault_that_passes_is_survived(ask):
    assert ask("demo:status=500,times=2", attempts=3).calls == 3


def test_the_provider_s_body_is_kept_as_it_came(ask, model):
    model.script([{"status": 400, "body": '{"error": {"message": "no  such\\n thing"}}'}])

    assert str(failure(ask, "demo")) == '{"error": {"message": "no  such\\n thing"}}'


@pytest.mark.parametrize("name", ["demo:mode=refusal", "demo:mode=content_filter", "demo:mode=length"])
def test_what_was_spent_on_an_answer_of_no_use_is_kept(ask, name):
    assert failure(ask, name).usage.prompt_tokens > 0


def test_what_was_spent_on_each_try_is_kept(ask, model):
    one = failure(ask, "demo:mode=null_content", attempts=1).usage

    assert failure(ask, "demo:mode=null_content", attempts=3).usage == one + one + one


def test_a_cut_answer_is_shown_as_far_as_it_came(ask, model):
    model.script([{"mode": "length", "answer": "half of the answer"}])

    assert "half of" in str(failure(ask, "demo"))


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '"text"',
        "7",
        "",
        "{",
        '{"choices": [{"message": {"content": NaN}}]} trailing',
        "[" * 100_000,
        '{"id":' * 100_000,
        "9" * 5_000,
    ],
    ids=lambda body: body[:12],
)
def test_a_body_that_is_no_completion_is_garbage(ask, model, body):
    model.script([{"body": body}])

    assert failure(ask, "demo").reason == "provider_garbage"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": ["part"]}}]},
        {"choices": [{"message": {"content": 7}}]},
    ],
    ids=json.dumps,
)
def test_a_completion_without_text_is_empty(ask, model, body):
    model.script([{"body": json.dumps(body)}])

    assert failure(ask, "demo").reason == "provider_empty"


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ("many", None),
        ({}, Usage()),
        ({"prompt_tokens": 2, "completion_tokens": 3}, Usage(2, 3, 5)),
        ({"prompt_tokens": -2, "completion_tokens": True, "total_tokens": "7"}, Usage()),
        ({"prompt_tokens": 2.5, "completion_tokens": 3, "total_tokens": None}, Usage(0, 3, 3)),
        ({"prompt_tokens": 10**30, "completion_tokens": 3}, Usage(0, 3, 3)),
    ],
)
def test_usage_is_read_as_far_as_it_makes_sense(usage, read):
    found = {"choices": [{"message": {"content": "text"}}], "usage": usage}

    assert openai.read(found).usage == read


def test_a_redirect_is_not_followed(ask, model):
    failure(ask, "demo:mode=redirect")

    assert not [call for call in model.calls() if "elsewhere" in call["path"]]


def test_a_server_that_is_not_there_is_unreachable(ask, make_client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    error = failure(ask, client=make_client(openai_base_url=f"http://127.0.0.1:{port}/v1"))

    assert (error.reason, error.calls) == ("provider_unreachable", 2)


def test_retry_after_is_honoured(ask):
    started = time.monotonic()

    answer = ask("demo:status=429,times=1,retry_after=0.6")

    assert (answer.calls, time.monotonic() - started >= 0.6) == (2, True)


def test_retry_after_may_be_a_date(ask, model):
    due = datetime.now(UTC) + timedelta(seconds=2)
    model.script([{"status": 503, "retry_after": format_datetime(due, usegmt=True), "times": 1}])

    ask("demo")

    assert datetime.now(UTC) >= due.replace(microsecond=0)


@pytest.mark.parametrize("retry_after", ["3600", "inf", "1e400"])
def test_a_wait_beyond_the_deadline_is_not_begun(ask, retry_after):
    started = time.monotonic()

    error = failure(ask, f"demo:status=429,retry_after={retry_after}", seconds=5.0)

    assert (error.reason, error.calls) == ("provider_rate_limited", 1)
    assert time.monotonic() - started < TOLERANCE_SECONDS


@pytest.mark.parametrize("retry_after", ["soon", "-1", "nan", ""])
def test_a_retry_after_without_sense_is_passed_over(ask, retry_after):
    assert ask(f"demo:status=429,times=1,retry_after={retry_after}").calls == 2


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
    name = "demo:status=503,retry_after=8"

    seconds = stopped_within(ask, run, lambda: model.wait_for(lambda totals: totals["answered"] == 1), name)

    assert seconds < 1.0
    assert model.totals()["count"] == 1


def test_a_process_has_no_more_calls_in_flight_than_it_may(ask, model, make_client):
    client = make_client(calls_in_flight=2)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ask("demo:latency=50", client=client), range(6)))

    assert model.totals()["max_in_flight"] == 2


def test_waiting_for_a_place_ends_with_the_time(ask, model, make_client, run):
    client = make_client(calls_in_flight=1)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ask, "demo:mode=silent", client=client)
        model.wait_for(lambda totals: totals["in_flight"] == 1)

        error = failure(ask, "demo", client=client, seconds=0.3)

        run.stop("cancelled")
        assert isinstance(hanging.exception(5), Stopped)
    assert (error.reason, model.totals()["count"]) == ("provider_timeout", 1)


def test_what_is_not_set_is_not_sent(ask, make_client):
    sent = []

    def speak(connection):
        sent.append(json.loads(raw_server.read_request(connection).partition(b"\r\n\r\n")[2]))
        connection.sendall(answer())

    with serving(speak) as url:
        ask("m", client=make_client(openai_base_url=url), temperature=0.0)

    assert sent == [{"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.0}]


def test_the_places_are_free_again_after_every_fault(ask, make_client, model):
    client = make_client(calls_in_flight=1)
    for name in ("demo:status=400", "demo:mode=reset", "demo:mode=html", "demo:mode=huge", "demo:mode=refusal"):
        failure(ask, name, client=client)

    assert ask("demo", client=client).calls == 1


def test_runs_that_stop_leave_no_call_behind(ask, model, make_client, run):
    client = make_client(calls_in_flight=1)
    stopped_within(
        ask, run, lambda: model.wait_for(lambda totals: totals["in_flight"] == 1), "demo:mode=silent", client=client
    )

    question = openai.Question(messages=[{"role": "user", "content": "hi"}], model="demo")

    assert client.ask(question, run=Run(run.claim), seconds=5, headers={}).calls == 1
