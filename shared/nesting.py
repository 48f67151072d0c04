"""Pipelines that run inside of other pipelines: which versions, whether they fit, and that none runs itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from shared import graph, kinds
from shared.definition import Definition
from shared.errors import Fault, NotFound
from shared.kinds import Embedded
from shared.plan import Layer, Plan, Reference, Version

#: Pipelines inside of each other, at most so deep.
MAX_DEPTH = 8

Resolve = Callable[[Reference], Version]
#: Where a layer stands, and its settings.
_Placed = tuple[str, Mapping[str, Any]]


def faults(handle: str, found: Definition, resolve: Resolve) -> list[Fault]:
    """What is wrong with the pipelines that a definition runs, at its places; `resolve` may raise NotFound."""
    placed = graph.layers(graph.sketch(found.source))
    return list(_Walk(resolve).through(handle, placed))


def pins(version: Version, resolve: Resolve) -> tuple[dict[str, int], list[Fault]]:
    """The id of every version that runs inside of a version, by `handle@version`, and what is wrong with them."""
    walk = _Walk(resolve)
    found = [Fault("version", f"{fault.field}: {fault.message}") for fault in walk.inside(version)]
    return walk.pins, found


class _Walk:
    """Goes through all that is inside, each version once."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.pins: dict[str, int] = {}

    def inside(self, version: Version, *trail: str) -> Iterator[Fault]:
        yield from self.through(version.handle, _placed(version.plan), *trail)

    def through(self, handle: str, placed: Iterable[_Placed], *trail: str) -> Iterator[Fault]:
        trail = (*trail, handle)
        for place, settings in placed:
            for each in kinds.embedded(settings):
                yield from self._embedded(f"{place}.{each.place}" if each.place else place, each, trail)

    def _embedded(self, place: str, each: Embedded, trail: tuple[str, ...]) -> Iterator[Fault]:
        handle = each.reference.handle
        if handle in trail:
            ring = " → ".join((*trail[trail.index(handle) :], handle))
            yield Fault(place, f"pipelines run each other: {ring}")
        elif len(trail) > MAX_DEPTH:
            yield Fault(place, f"pipelines are inside of each other more than {MAX_DEPTH} deep")
        else:
            yield from self._into(place, each, trail)

    def _into(self, place: str, each: Embedded, trail: tuple[str, ...]) -> Iterator[Fault]:
        reference = each.reference
        try:
            version = self._resolve(reference)
        except NotFound as error:
            yield Fault(f"{place}.{error.noun if error.noun == 'version' else 'handle'}", str(error), "unknown")
            return
        yield from _input_faults(f"{place}.inputs", each.inputs, version.plan)
        if str(reference) not in self.pins:
            self.pins[str(reference)] = version.id
            for fault in self.inside(version, *trail):
                yield Fault(place, f"inside of {reference}, {fault.field}: {fault.message}", fault.code)


def _input_faults(place: str, given: Any, plan: Plan) -> Iterator[Fault]:
    if not isinstance(given, Mapping):
        return
    known = {each.name: each for each in plan.inputs}
    for name in given:
        if name not in known:
            yield Fault(f"{place}.{name}", "is no input of that pipeline", "unknown")
    for each in plan.inputs:
        if each.required and each.default is None and each.name not in given:
            yield Fault(f"{place}.{each.name}", "is required by that pipeline", "missing")


def _placed(plan: Plan) -> Iterator[_Placed]:
    for each in plan.properties:
        yield from _deep(each.layers)


def _deep(layers: Iterable[Layer]) -> Iterator[_Placed]:
    for layer in layers:
        yield layer.path, layer.settings
        yield from _deep(layer.layers)
