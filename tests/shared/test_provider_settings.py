import json
from decimal import Decimal

import pytest

from shared import provider_settings
from shared.errors import Invalid
from shared.providers import Limits, Price
from shared.settings import Settings

FULL = """
azure:
  base_url: https://example.com/v1
  api_key_env: AZURE_KEY
  headers: {api-version: "2026-10-01"}
  models: [gpt-4o, gpt-4o-mini]
  limits: {requests_per_minute: 600, tokens_per_minute: 100000, in_flight: 20}
  model_limits: {gpt-4o: {requests_per_minute: 60}}
  default_max_tokens: 2000
  responses: true
"""


def read(providers="", prices="", **rest):
    return provider_settings.read(providers, prices, **rest)


def test_a_provider_is_read_with_all_that_it_has():
    azure = read(FULL, environment={"AZURE_KEY": "sk-1"}).named["azure"]

    assert (azure.base_url, azure.api_key, dict(azure.headers)) == (
        "https://example.com/v1",
        "sk-1",
        {"api-version": "2026-10-01"},
    )
    assert (azure.models, azure.default_max_tokens, azure.responses) == ({"gpt-4o", "gpt-4o-mini"}, 2000, True)
    assert (azure.limits, azure.model_limits) == (Limits(600, 100000, 20), {"gpt-4o": Limits(60)})


def test_the_default_provider_is_that_of_the_openai_settings():
    default = read(api_key="sk-1", base_url="http://127.0.0.1/v1").named["default"]

    assert (default.api_key, default.base_url) == ("sk-1", "http://127.0.0.1/v1")


def test_more_may_be_said_of_the_default_provider():
    default = read("default: {limits: {in_flight: 4}}", api_key="sk-1").named["default"]

    assert (default.api_key, default.limits) == ("sk-1", Limits(in_flight=4))


def test_prices_are_read_as_they_are_written():
    found = read(
        "local: {base_url: http://127.0.0.1/v1}",
        "{gpt-4o-mini: {prompt: 0.15, completion: 0.6}, local/*: {prompt: 0, completion: 0}}",
    )

    assert found.find("gpt-4o-mini").price == Price(Decimal("0.15"), Decimal("0.6"))
    assert found.find("local/any").price == Price(Decimal(0), Decimal(0))


@pytest.mark.parametrize("written", [FULL, json.dumps({"azure": {"base_url": "http://127.0.0.1/v1"}})])
def test_a_setting_may_be_the_path_of_a_file(tmp_path, written):
    file = tmp_path / "providers.yaml"
    file.write_text(written)

    assert "azure" in read(str(file), environment={"AZURE_KEY": "sk-1"}).named


def test_a_process_that_asks_no_models_needs_no_keys():
    assert read(FULL, environment=None).named["azure"].api_key is None


@pytest.mark.parametrize(
    ("providers", "prices", "field"),
    [
        ("[1]", "", "STRATA_PROVIDERS"),
        ("{", "", "STRATA_PROVIDERS"),
        ("/no/such/file", "", "STRATA_PROVIDERS"),
        ("a: 1", "", "STRATA_PROVIDERS.a"),
        ("a b: {}", "", "STRATA_PROVIDERS.a b"),
        ("a: {base_url: ftp://x}", "", "STRATA_PROVIDERS.a.base_url"),
        ("a: {base_url: 'http://x:port'}", "", "STRATA_PROVIDERS.a.base_url"),
        ("a: {colour: red}", "", "STRATA_PROVIDERS.a.colour"),
        ("a: {api_key: ''}", "", "STRATA_PROVIDERS.a.api_key"),
        ('a: {api_key: "k\\nX: y"}', "", "STRATA_PROVIDERS.a.api_key"),
        ("a: {api_key: k, api_key_env: K}", "", "STRATA_PROVIDERS.a.api_key_env"),
        ("a: {api_key_env: NOT_SET}", "", "STRATA_PROVIDERS.a.api_key_env"),
        ("a: {models: []}", "", "STRATA_PROVIDERS.a.models"),
        ("a: {limits: {requests_per_minute: 0}}", "", "STRATA_PROVIDERS.a.limits.requests_per_minute"),
        ("a: {limits: {in_flight: 1.5}}", "", "STRATA_PROVIDERS.a.limits.in_flight"),
        ("a: {model_limits: {m: {in_flight: x}}}", "", "STRATA_PROVIDERS.a.model_limits.m.in_flight"),
        ("a: {model_limits: 7}", "", "STRATA_PROVIDERS.a.model_limits"),
        ('a: {headers: {"x y": z}}', "", "STRATA_PROVIDERS.a.headers.x y"),
        ("a: {responses: maybe}", "", "STRATA_PROVIDERS.a.responses"),
        ("", "{m: {prompt: 1}}", "STRATA_PRICES.m.completion"),
        ("", "{m: {prompt: -1, completion: 1}}", "STRATA_PRICES.m.prompt"),
        ("", "m", "STRATA_PRICES"),
    ],
)
def test_a_fault_is_named_by_its_place(providers, prices, field):
    with pytest.raises(Invalid) as caught:
        read(providers, prices, environment={})

    assert [fault.field for fault in caught.value.faults] == [field]


def test_every_fault_is_told_at_once_and_no_key():
    environment = {
        "STRATA_PROVIDERS": '{a: {api_key: sk-secret, base_url: 7}, b: {limits: {tokens_per_minute: "x"}}}',
        "STRATA_PRICES": "{m: {}}",
        "PORT": "x",
    }

    with pytest.raises(Invalid) as caught:
        Settings.from_environment(environment)

    assert [fault.field for fault in caught.value.faults] == [
        "PORT",
        "STRATA_PROVIDERS.a.base_url",
        "STRATA_PROVIDERS.b.limits.tokens_per_minute",
        "STRATA_PRICES.m.prompt",
        "STRATA_PRICES.m.completion",
    ]
    assert "secret" not in str(caught.value)


def test_a_default_model_that_nobody_offers_is_a_fault():
    with pytest.raises(Invalid, match="STRATA_DEFAULT_MODEL"):
        read("default: {models: [a]}", default_model="b")


def test_providers_and_prices_are_no_part_of_what_is_shown():
    settings = Settings(providers="{a: {api_key: sk-secret}}", prices="{m: {prompt: 1, completion: 1}}")

    assert "secret" not in repr(settings)


def test_named_providers_are_enough_for_a_worker():
    found = Settings.from_environment({"STRATA_PROVIDERS": "{a: {base_url: http://127.0.0.1/v1}}"}, needs=("models",))

    assert "a" in found.known_providers({}).named
