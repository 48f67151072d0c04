"""What goes wrong on request: each fault as the real client, or a bare socket, comes to see it."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI


def ask(client: OpenAI, model: str, **wanted: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Review Hamlet."}], **wanted
    )


@pytest.mark.parametrize(
    ("model", "error", "status", "cut"),
    [
        ("demo:mode=silent", openai.APITimeoutError, None, True),
        ("demo:latency=60000", openai.APITimeoutError, None, True),
        ("demo:mode=reset", openai.APIConnectionError, None, False),
        ("demo:mode=truncated", openai.APIConnectionError, 200, False),
        ("demo:status=400", openai.BadRequestError, 400, False),
        ("demo:status=401", openai.AuthenticationError, 401, False),
        ("demo:status=403", openai.PermissionDeniedError, 403, False),
        ("demo:status=404", openai.NotFoundError, 404, False),
        ("demo:status=422", openai.UnprocessableEntityError, 422, False),
        ("demo:status=429", openai.RateLimitError, 429, False),
        ("demo:status=500", openai.InternalServerError, 500, False),
        ("demo:code=server_is_overloaded", openai.InternalServerError, 503, False),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_fault_reaches_the_client_and_is_booked(demo_model, client, model, error, status, cut, stream):
    with pytest.raises(error):
        list(ask(client.with_options(timeout=0.3), model, stream=stream))

    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)
    [call] = demo_model.calls()
    assert (call["status"], call["cut"], call["usage"]) == (status, cut, None)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("null_content", {"content": None, "refusal": None, "finish_reason": "stop"}),
        ("refusal", {"content": None, "finish_reason": "stop"}),
        ("length", {"refusal": None, "finish_reason": "length"}),
        ("content_filter", {"content": "", "finish_reason": "content_filter"}),
        ("nan", {"content": '{"score": NaN, "limit": Infinity}', "finish_reason": "stop"}),
    ],
)
def test_answer_is_well_sent_and_spoiled_inside(client, mode, expected):
    choice = ask(client, f"demo:mode={mode}").choices[0]

    seen = {"finish_reason": choice.finish_reason, **choice.message.model_dump()}
    assert seen.items() >= expected.items()
    assert bool(choice.message.refusal) is (mode == "refusal")


def test_page_is_handed_back_as_bare_text_by_the_client(client):
    assert ask(client, "demo:mode=html").startswith("<!doctype html>")


def test_scripted_garbage_passes_for_json_until_it_is_read(demo_model, client):
    demo_model.script([{"body": "<html>"}])

    with pytest.raises(json.JSONDecodeError):
        ask(client, "demo")


def test_bad_json_is_no_json(client):
    content = ask(client, "demo:mode=bad_json").choices[0].message.content

    with pytest.raises(json.JSONDecodeError):
        json.loads(content)


def test_no_choices_leaves_usage(client):
    answer = ask(client, "demo:mode=no_choices")

    assert answer.choices == []
    assert answer.usage.total_tokens > 0


def test_redirect_leads_to_another_origin_that_books_who_follows(demo_model, client):
    ask(client, "demo:mode=redirect")

    assert [(call["path"], call["status"]) for call in demo_model.calls()] == [
        ("/v1/chat/completions", 307),
        ("/elsewhere/v1/chat/completions", 200),
    ]


def test_huge_body_has_the_wanted_size(client):
    answer = client.chat.completions.with_raw_response.create(
        model="demo:mode=huge,bytes=3000000", messages=[{"role": "user", "content": "hi"}]
    )

    assert len(answer.content) == 3_000_000
    assert answer.parse().choices[0].finish_reason == "stop"


def test_endless_body_goes_on_until_the_client_leaves(demo_model, hang):
    with hang(demo_model, "demo:mode=endless") as raw:
        received = sum(len(raw.recv(65536)) for _ in range(100))

    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)

    assert received > 100_000
    assert [(call["status"], call["cut"]) for call in demo_model.calls()] == [(200, True)]


def test_drip_sends_the_head_and_then_single_bytes(demo_model, hang):
    with hang(demo_model, "demo:mode=drip") as raw:
        received = [raw.recv(65536) for _ in range(3)]

    assert received[0].endswith(b"\r\n\r\n")
    assert received[1:] == [b"{", b'"']


def test_error_carries_code_type_and_retry_after(client):
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, "demo:status=429,code=credit_balance_exhausted,retry_after=7")

    assert (caught.value.code, caught.value.type) == ("credit_balance_exhausted", "insufficient_quota")
    assert caught.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("fault", ["status=500", "mode=reset"])
def test_times_counts_for_each_layer_of_each_execution(client, fault):
    def passes(execution: str, layer: str) -> bool:
        headers = {"X-Strata-Execution": execution, "X-Strata-Layer": layer}
        try:
            return bool(ask(client, f"demo:{fault},times=2", extra_headers=headers))
        except (openai.InternalServerError, openai.APIConnectionError):
            return False

    first = [passes("e1", "a/b") for _ in range(4)]

    assert first == [False, False, True, True]
    assert [passes("e1", "a/c"), passes("e2", "a/b"), passes("e1", "a/b")] == [False, False, True]


def test_scripted_fault_strikes_its_layer_only(demo_model, client):
    demo_model.script([{"layer": "a/b", "status": 503, "times": 1}])

    with pytest.raises(openai.InternalServerError):
        ask(client, "demo", extra_headers={"X-Strata-Layer": "a/b"})

    assert ask(client, "demo", extra_headers={"X-Strata-Layer": "a/b"}).choices


def test_latency_lets_other_calls_pass(demo_model, client, hang):
    demo_model.script([], latency_ms=60_000)

    with hang(demo_model, "demo"):
        answer = ask(client, "demo:latency=0")

    assert answer.choices
    assert demo_model.totals()["max_in_flight"] == 2


@pytest.mark.parametrize("name", ["llama3:8b", "ft:gpt-4o-mini:acme::abc123", "vendor/model:free"])
def test_ordinary_names_with_colons_are_no_directives(client, name):
    assert ask(client, name).model == name
