import json
import socket

import pytest

from worker.providers.faults import ProviderFault


@pytest.mark.parametrize(
    ("name", "reason", "calls"),
    [
        ("demo:status=400", "provider_bad_request", 1),
        ("demo:status=401", "provider_auth", 1),
        ("demo:status=403", "provider_forbidden", 1),
        ("demo:status=404", "provider_not_found", 1),
        ("demo:status=422", "provider_unprocessable", 1),
        ("demo:status=402", "provider_quota", 1),
        ("demo:status=418", "provider_error", 1),
        ("demo:status=408", "provider_error", 2),
        ("demo:status=409", "provider_error", 2),
        ("demo:status=429", "provider_rate_limited", 2),
        ("demo:status=500", "provider_error", 2),
        ("demo:status=502", "provider_error", 2),
        ("demo:status=503", "provider_overloaded", 2),
        ("demo:status=504", "provider_error", 2),
        ("demo:status=529", "provider_overloaded", 2),
        ("demo:code=rate_limit_exceeded", "provider_rate_limited", 2),
        ("demo:code=slow_down", "provider_rate_limited", 2),
        ("demo:code=server_is_overloaded", "provider_overloaded", 2),
        ("demo:code=insufficient_quota", "provider_quota", 1),
        ("demo:code=credit_balance_exhausted", "provider_quota", 1),
        ("demo:code=organization_spend_limit_exceeded", "provider_quota", 1),
        ("demo:code=project_spend_limit_exceeded", "provider_quota", 1),
        ("demo:code=organization_usage_limit_exceeded", "provider_quota", 1),
        ("demo:code=context_length_exceeded", "provider_bad_request", 1),
        ("demo:status=500,code=context_length_exceeded", "provider_bad_request", 1),
        ("demo:status=503,code=slow_down", "provider_overloaded", 2),
        ("demo:status=500,code=server_is_overloaded", "provider_overloaded", 2),
        ("demo:status=403,code=model_not_found", "provider_not_found", 1),
        ("demo:status=400,code=invalid_api_key", "provider_auth", 1),
        ("demo:status=400,code=content_filter", "provider_refused", 1),
        ("demo:status=503,code=insufficient_quota", "provider_quota", 1),
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
def test_a_fault_has_its_reason_and_is_retried_where_that_can_help(failure, model, name, reason, calls):
    error = failure(name)

    assert (error.reason, len(error.calls), model.totals()["count"]) == (reason, calls, calls)


def test_the_provider_s_body_is_kept_as_it_came(failure, model):
    model.script([{"status": 400, "body": '{"error": {"message": "no  such\\n thing"}}'}])

    assert str(failure("demo")) == '{"error": {"message": "no  such\\n thing"}}'


@pytest.mark.parametrize("name", ["demo:mode=refusal", "demo:mode=content_filter", "demo:mode=length"])
def test_what_was_spent_on_an_answer_of_no_use_is_kept(failure, name):
    assert failure(name).usage.prompt_tokens > 0


def test_what_was_spent_on_each_try_is_kept(failure):
    one, other = failure("demo:mode=null_content", attempts=3).calls

    assert one.usage == other.usage
    assert one.usage.prompt_tokens > 0


def test_a_cut_answer_is_shown_as_far_as_it_came(failure, model):
    model.script([{"mode": "length", "answer": "half of the answer"}])

    assert "half of" in str(failure("demo"))


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
def test_a_body_that_is_no_completion_is_garbage(failure, model, body):
    model.script([{"body": body}])

    assert failure("demo").reason == "provider_garbage"


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
def test_a_completion_without_text_is_empty(failure, model, body):
    model.script([{"body": json.dumps(body)}])

    assert failure("demo").reason == "provider_empty"


def test_a_redirect_is_not_followed(failure, model):
    failure("demo:mode=redirect")

    assert not [call for call in model.calls() if "elsewhere" in call["path"]]


def test_a_server_that_is_not_there_is_unreachable(failure, make_client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    error = failure(client=make_client(openai_base_url=f"http://127.0.0.1:{port}/v1"))

    assert (error.reason, error.calls) == ("provider_unreachable", ())


@pytest.mark.parametrize("key", ["sk-canary-1234567890", 'sk-"quoted"\\key'])
def test_a_key_that_a_provider_repeats_is_not_reported(key):
    fault = ProviderFault("provider_auth", f'{{"message": "no such key: {key}", "again": {json.dumps(key)}}}')

    fault.hide(key)

    assert key not in str(fault)
    assert json.dumps(key)[1:-1] not in str(fault)


@pytest.mark.parametrize("key", ["", "demo"])
def test_a_key_that_is_no_secret_is_not_hidden(key):
    fault = ProviderFault("provider_auth", "no key for demo")

    fault.hide(key)

    assert str(fault) == "no key for demo"
