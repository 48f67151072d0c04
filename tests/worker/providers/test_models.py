import time
from decimal import Decimal

import pytest

from deploy.demo_model.embedded import start_in_thread
from shared.errors import Parked

ELSEWHERE = ("demo",)


@pytest.fixture
def other(model):
    """A second provider."""
    with start_in_thread() as other:
        yield other


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
    "fault",
    [
        *("status=429", "status=503", "status=500", "status=401", "status=403", "status=404", "status=418"),
        *("code=insufficient_quota", "mode=html", "mode=null_content", "mode=reset"),
    ],
)
def test_another_model_is_asked_where_it_may_answer(make_client, ask, model, fault):
    name = f"demo:{fault}"
    # A key of its own: what stops the first one's would stop the second model's too.
    client = make_client(providers=f'{{spare: {{base_url: "{model.base_url}", api_key: spare}}}}')

    answer = ask(name, fallback=("spare/demo",), client=client)

    assert answer.details == {"model": "spare/demo", "fallback_from": f"default/{name}"}
    assert [call.kept for call in answer.calls][-2:] == [False, True]


@pytest.mark.parametrize(
    "fault", ["status=400", "status=422", "code=context_length_exceeded", "mode=refusal", "mode=length"]
)
def test_no_other_model_is_asked_where_the_question_is_to_blame(failure, model, fault):
    failure(f"demo:{fault}", fallback=ELSEWHERE)

    assert model.totals()["count"] == 1


def test_each_model_has_its_share_of_the_time(ask):
    started = time.monotonic()

    answer = ask("demo:mode=silent", fallback=("demo:mode=silent,x", "demo"), seconds=3.0)

    assert answer.details["model"] == "default/demo"
    assert 1.9 < time.monotonic() - started < 2.9
    assert [call.uncertain for call in answer.calls] == [True, True, False]


def test_the_last_one_s_fault_is_told_with_the_calls_of_all(failure):
    error = failure("demo:status=500", fallback=("demo:status=404",))

    assert error.reason == "provider_not_found"
    assert [call.outcome for call in error.calls] == ["provider_error", "provider_error", "provider_not_found"]


def test_a_model_is_asked_once_however_often_it_is_named(failure, model):
    failure("demo:status=404", fallback=("default/demo:status=404",))

    assert model.totals()["count"] == 1


def test_another_model_goes_before_a_long_wait(ask):
    assert ask("demo:status=429,retry_after=30", fallback=ELSEWHERE).details["model"] == "default/demo"


def test_a_wait_for_the_first_goes_before_the_fault_of_the_last(ask):
    with pytest.raises(Parked) as caught:
        ask("demo:status=429,retry_after=30", fallback=("demo:status=404",))

    assert (caught.value.seconds > 29, len(caught.value.calls)) == (True, 2)
    assert not any(call.kept for call in caught.value.calls)


def test_what_was_sent_before_a_park_counts_for_those_who_were_asked_first(failure, model):
    failure("demo:status=500", fallback=("demo:status=502",), attempts=2, sent_before=3)

    assert [call["model"] for call in model.calls()] == ["demo:status=502"]


def test_a_named_provider_is_asked_for_its_models(make_client, ask, model, other):
    client = make_client(providers=f'{{other: {{base_url: "{other.base_url}"}}}}')

    ask("other/org/demo", client=client)

    assert ([call["model"] for call in other.calls()], model.calls()) == (["org/demo"], [])


def test_a_model_that_its_provider_does_not_offer_is_not_asked(make_client, failure, other):
    client = make_client(providers=f'{{other: {{base_url: "{other.base_url}", models: [small]}}}}')

    error = failure("other/large", client=client)

    assert (error.reason, error.calls, other.calls()) == ("config", (), [])


def test_every_call_is_opened_in_the_books_and_noted(ask, books):
    answer = ask("demo:status=500,times=1")

    assert [(path, name) for path, name, _ in books.opened] == [("a/0", "default/demo:status=500,times=1")] * 2
    assert [call.number for call in books.noted] == [1, 2]
    assert [call.outcome for call in answer.calls] == ["provider_error", "answered"]


def test_the_estimate_is_no_less_than_what_is_used(ask, books):
    used = ask("demo", max_tokens=500, messages=[{"role": "user", "content": "Wörter, 漢字 und Text. " * 50}]).usage

    ((_, _, estimate),) = books.opened
    assert (estimate.prompt_tokens >= used.prompt_tokens, estimate.completion_tokens) == (True, 500)


def test_a_call_that_was_cut_is_uncertain_at_its_estimate(failure, books):
    (call,) = failure("demo:mode=silent", seconds=0.3).calls

    assert (call.uncertain, call.usage) == (True, books.opened[0][2])


def test_a_call_that_was_never_sent_is_dropped(failure, make_client, books):
    error = failure("demo", client=make_client(openai_base_url="http://127.0.0.1:1/v1"))

    assert (error.calls, books.dropped, books.noted) == ((), [1, 2], [])


def test_calls_have_their_price(make_client, ask):
    client = make_client(prices="{demo: {prompt: 2.5, completion: 10}}")

    answer = ask("demo", client=client)

    (call,) = answer.calls
    usage = answer.usage
    assert call.cost == (usage.prompt_tokens * Decimal("2.5") + usage.completion_tokens * 10) / 1_000_000


def test_a_price_that_nobody_knows_is_none(ask):
    assert [call.cost for call in ask("demo").calls] == [None]


def test_a_provider_bounds_answers_that_their_layer_does_not(make_client, ask, books, model):
    client = make_client(providers="{default: {default_max_tokens: 777}}")

    ask("demo", client=client)
    ask("demo", client=client, max_tokens=500)

    assert [estimate.completion_tokens for _, _, estimate in books.opened] == [777, 500]
