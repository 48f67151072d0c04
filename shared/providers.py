"""The servers that models are asked of, their limits and prices, and how a definition names one of their models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from shared.errors import LayerFailed
from shared.plan import Usage

#: The provider of models that name none.
DEFAULT = "default"
#: Where a provider is that says nothing of it.
OPENAI_URL = "https://api.openai.com/v1"
#: Stands for any model in prices.
ANY_MODEL = "*"
#: What a price is for, in tokens.
PRICED_TOKENS = 1_000_000
#: What an answer is estimated at where neither its layer nor its provider says how long it may be, in tokens.
USUAL_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    prompt: Decimal
    completion: Decimal

    def cost(self, usage: Usage) -> Decimal:
        """What so many tokens come to, in US dollars."""
        spent = self.prompt * usage.prompt_tokens + self.completion * usage.completion_tokens
        return spent / PRICED_TOKENS


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes from one key for one model; None is not known."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One server that speaks OpenAI's wire.

    `base_url` is None for OpenAI's own, `api_key` None where there is none. `models` are those that it may be asked,
    any where it is None. `responses` says that it has OpenAI's responses API, `web_search` that it searches the web
    where a chat asks for it.
    """

    name: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: frozenset[str] | None = None
    limits: Limits = Limits()
    model_limits: Mapping[str, Limits] = field(default_factory=dict)
    default_max_tokens: int | None = None
    responses: bool = False
    web_search: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A model of a provider."""

    provider: Provider
    model: str
    price: Price | None = None

    @property
    def name(self) -> str:
        """`provider/model`, as the books and the report have it."""
        return f"{self.provider.name}/{self.model}"

    @property
    def limits(self) -> Limits:
        """The model's own limits, else those that its provider has for each."""
        return self.provider.model_limits.get(self.model, self.provider.limits)

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for so many tokens; None where the price is not known."""
        return None if self.price is None else self.price.cost(usage)

    def max_tokens(self, wanted: int | None) -> int | None:
        """The longest answer to ask for in tokens, of what a layer wants; None leaves it to the provider."""
        return wanted if wanted is not None else self.provider.default_max_tokens


@dataclass(frozen=True, slots=True)
class Providers:
    """Every provider of this process by its name, and the prices of their models by `provider/model`."""

    named: Mapping[str, Provider]
    prices: Mapping[str, Price]
    default_model: str

    def find(self, model: str | None) -> Target:
        """The target that a definition's model means; LayerFailed with `config` where its provider does not offer it.

        `provider/model` names a provider by what is before the first `/`, where there is one of that name; anything
        else is a model of the provider `default`. None is the default model.
        """
        provider, name = self._split(self.default_model if model is None else model)
        if provider.models is not None and name not in provider.models:
            raise LayerFailed("config", f"the provider {provider.name} does not offer the model {name}")
        prices = (self.prices.get(f"{provider.name}/{each}") for each in (name, ANY_MODEL))
        return Target(provider, name, next((price for price in prices if price is not None), None))

    def full_name(self, model: str) -> str:
        """`provider/model` of how a definition, or a price, names a model."""
        provider, name = self._split(model)
        return f"{provider.name}/{name}"

    def _split(self, model: str) -> tuple[Provider, str]:
        before, slash, after = model.partition("/")
        if slash and after and before in self.named:
            return self.named[before], after
        return self.named[DEFAULT], model
