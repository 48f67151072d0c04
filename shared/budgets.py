"""Whether a bound on an execution's cost can be kept: every model that it may ask needs a price."""

from collections.abc import Iterable, Iterator

from shared import kinds
from shared.errors import Fault, LayerFailed
from shared.order import Order
from shared.plan import Layer, Plan
from shared.providers import Providers, Target

FIELD = "max_cost_usd"


def faults(order: Order, plans: Iterable[Plan], providers: Providers) -> list[Fault]:
    """What is wrong with the bound on an order's cost, of the plans that it runs; nothing without a bound."""
    if order.max_cost_usd is None:
        return []
    unpriced = {each.name for plan in plans for each in models(plan, providers) if each.price is None}
    return [Fault(FIELD, f"cannot be kept: the model {name} has no price") for name in sorted(unpriced)]


def models(plan: Plan, providers: Providers) -> Iterator[Target]:
    """Every model that a plan may ask, but those that its provider does not offer; a pipeline inside is its own."""
    for each in plan.properties:
        for layer in _deep(each.layers):
            # Kinds that ask models name them so.
            if "model" in kinds.kinds()[layer.kind].Settings().fields:
                yield from _targets(layer, providers)


def _targets(layer: Layer, providers: Providers) -> Iterator[Target]:
    for name in (layer.settings.get("model"), *layer.settings.get("fallback", ())):
        try:
            yield providers.find(name)
        except LayerFailed:
            continue


def _deep(layers: Iterable[Layer]) -> Iterator[Layer]:
    for layer in layers:
        yield layer
        yield from _deep(layer.layers)
