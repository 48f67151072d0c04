from decimal import Decimal

import pytest

from shared.errors import LayerFailed
from shared.plan import Usage
from shared.providers import Limits, Price, Provider, Providers, Target

PRICE = Price(Decimal("0.15"), Decimal("0.6"))
OTHER = Price(Decimal(1), Decimal(2))


def providers(**prices):
    named = {
        "default": Provider("default"),
        "local": Provider("local", "http://127.0.0.1/v1", models=frozenset({"llama", "org/qwen"})),
    }
    return Providers(named, prices, "gpt-4o-mini")


@pytest.mark.parametrize(
    ("written", "provider", "model"),
    [
        (None, "default", "gpt-4o-mini"),
        ("gpt-4o", "default", "gpt-4o"),
        ("default/gpt-4o", "default", "gpt-4o"),
        ("local/llama", "local", "llama"),
        ("local/org/qwen", "local", "org/qwen"),
        # What is before the slash is no provider, so it is part of the model's name.
        ("meta/llama", "default", "meta/llama"),
        ("local/", "default", "local/"),
    ],
)
def test_a_model_is_one_of_the_provider_that_it_names(written, provider, model):
    target = providers().find(written)

    assert (target.provider.name, target.model, target.name) == (provider, model, f"{provider}/{model}")


def test_a_model_that_its_provider_does_not_offer_is_refused():
    with pytest.raises(LayerFailed, match="does not offer the model gpt-4o") as caught:
        providers().find("local/gpt-4o")

    assert caught.value.reason == "config"


def test_a_price_of_the_model_goes_before_one_of_any():
    known = providers(**{"local/*": OTHER, "local/llama": PRICE})

    assert [known.find(name).price for name in ("local/llama", "local/org/qwen", "gpt-4o")] == [PRICE, OTHER, None]


def test_cost_is_exact():
    target = Target(Provider("default"), "m", PRICE)

    assert target.cost(Usage(1, 1, 2)) == Decimal("0.00000075")
    assert Target(Provider("default"), "m").cost(Usage(1, 1, 2)) is None


def test_a_model_s_own_limits_go_before_its_provider_s():
    mine, others = Limits(in_flight=2), Limits(requests_per_minute=60)
    provider = Provider("local", limits=others, model_limits={"llama": mine})

    assert [Target(provider, name).limits for name in ("llama", "qwen")] == [mine, others]


def test_a_key_is_not_shown():
    provider = Provider("local", api_key="sk-secret", headers={"x-key": "sk-secret"})

    assert "secret" not in repr(Target(provider, "llama"))
