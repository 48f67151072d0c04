"""What would fail an execution for how it is set up, found before it starts: no such model, no such function."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from shared import jmespaths, kinds
from shared.errors import Fault, LayerFailed
from shared.plan import Layer, Plan
from shared.providers import Providers


def faults(plans: Mapping[str, Plan], providers: Providers) -> list[Fault]:
    """Every fault of the plans that an execution runs; the field is the layer's path, behind the name of its plan."""
    return [
        Fault(f"{name}{layer.path}.{setting}", message)
        for name, plan in plans.items()
        for layer in layers(plan)
        for setting, message in _faults(layer, providers)
    ]


def layers(plan: Plan) -> Iterator[Layer]:
    """Every layer of a plan, those inside of others too."""
    for each in plan.properties:
        yield from _deep(each.layers)


@cache
def asking() -> frozenset[str]:
    """The kinds that ask models: those that name one."""
    return frozenset(kind for kind, each in kinds.kinds().items() if "model" in each.Settings().fields)


def _faults(layer: Layer, providers: Providers) -> Iterator[tuple[str, str]]:
    settings = layer.settings
    if layer.kind in asking():
        named = [("model", settings.get("model"))]
        named += [(f"fallback[{index}]", name) for index, name in enumerate(settings.get("fallback", ()))]
        for setting, name in named:
            try:
                target = providers.find(name)
            except LayerFailed as error:
                yield setting, str(error)
            else:
                if settings.get("background") and not target.provider.responses:
                    yield setting, f"the provider {target.provider.name} makes no answers in the background"
                if _searches(settings) and not target.provider.web_search:
                    yield setting, f"the provider {target.provider.name} does not search the web"
    if layer.kind == "extract" and (wrong := jmespaths.misused(settings["expression"])):
        yield "expression", wrong


def _searches(settings: Mapping[str, Any]) -> bool:
    return any(each["type"] == "web_search" for each in settings.get("tools", ()))


def _deep(found: Iterable[Layer]) -> Iterator[Layer]:
    for layer in found:
        yield layer
        yield from _deep(layer.layers)
