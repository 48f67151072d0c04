"""The demo model's strict limits, seen through the real client."""

import re
import threading

import httpx2
import openai
import pytest

ASKED = [{"role": "user", "content": "Write a short review of Hamlet."}]


def ask(client, model, **wanted):
    return client.chat.completions.with_raw_response.create(model=model, messages=ASKED, **wanted)


def test_so_many_requests_are_answered_and_the_next_is_refused_as_openai_does(client):
    model = "demo:requests=2,window_seconds=60"
    told = [ask(client, model).headers for _ in range(2)]

    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, model)

    assert [each["x-ratelimit-remaining-requests"] for each in told] == ["1", "0"]
    assert told[0]["x-ratelimit-limit-requests"] == "2"
    assert re.fullmatch(r"59\.\d+s|1m0s", told[0]["x-ratelimit-reset-requests"])
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "requests")
    assert 50 < int(refused.value.response.headers["retry-after"]) <= 60
    assert 50_000 < int(refused.value.response.headers["retry-after-ms"]) <= 60_000


def test_tokens_are_those_of_the_answer(client):
    used = ask(client, "demo").parse().usage.total_tokens
    model = f"demo:tokens={2 * used}"

    told = [ask(client, model).headers["x-ratelimit-remaining-tokens"] for _ in range(2)]
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, model)

    assert (told, refused.value.type) == ([str(used), "0"], "tokens")


def test_a_new_window_takes_calls_again_and_the_counts_are_kept_by_window(client, demo_model):
    model = "demo:requests=1,window_seconds=0.3"
    ask(client, model)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, model)
    threading.Event().wait(int(refused.value.response.headers["retry-after-ms"]) / 1000)

    ask(client, model)

    found = demo_model.buckets()[model]
    assert (found["allowed"], found["refused"], [each[0] for each in found["windows"]]) == (2, 1, [1, 1])


def test_so_many_calls_at_once_are_taken_and_a_place_is_free_again_after_the_end(client, demo_model, hang):
    model = "demo:in_flight=1,mode=silent"
    with hang(demo_model, model), pytest.raises(openai.RateLimitError):
        ask(client, model)
    demo_model.wait_for(lambda totals: totals["in_flight"] == 0)

    with hang(demo_model, model):
        found = demo_model.buckets()[model]

    assert (found["allowed"], found["refused"], found["max_in_flight"]) == (2, 1, 1)


def test_a_rule_gives_limits_to_a_model_of_any_name(client, demo_model):
    demo_model.script([{"model": "gpt-4o", "requests": 0}])

    with pytest.raises(openai.RateLimitError):
        ask(client, "gpt-4o")
    assert ask(client, "demo").status_code == 200


def test_the_counts_are_read_and_forgotten_over_http(client, demo_model):
    ask(client, "demo:requests=9")
    url = demo_model.base_url.removesuffix("/v1") + "/_buckets"

    found = httpx2.get(url, trust_env=False).json()
    httpx2.delete(url, trust_env=False)

    assert found["demo:requests=9"]["allowed"] == 1
    assert httpx2.get(url, trust_env=False).json() == {}
