"""The graph of a definition: what each property reads, and what is wrong with it.

Works on a sketch, the well-formed parts of a definition, so that a bad setting here does not hide a bad name there.
"""

from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from shared import kinds, rendering
from shared.errors import Fault

PREVIOUS = "previous"


class Node(NamedTuple):
    """A property as far as it is well formed; a name that is no text is None."""

    name: str | None
    layers: list[dict[str, Any]]


class Sketch(NamedTuple):
    """Names and texts of a definition, in their places."""

    inputs: list[str | None]
    properties: list[Node]
    output: Any


def sketch(source: Any) -> Sketch:
    """Keep of a definition what is well formed, at its index."""
    source = source if isinstance(source, dict) else {}
    properties = [
        Node(_name(each), [_object(layer) for layer in _list(_object(each).get("layers"))])
        for each in _list(source.get("properties"))
    ]
    return Sketch([_name(each) for each in _list(source.get("inputs"))], properties, source.get("output"))


def layers(found: Sketch) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every layer with its place."""
    for index, each in enumerate(found.properties):
        for number, layer in enumerate(each.layers):
            yield f"properties[{index}].layers[{number}]", layer


def needs(each: Node) -> set[str]:
    """Names from outside a property that its layers refer to: inputs and other properties."""
    inside = {_name(layer) for layer in each.layers} | {PREVIOUS}
    return {name for layer in each.layers for _, name in _referred(layer) if name not in inside}


def faults(found: Sketch) -> Iterator[Fault]:
    """Names that clash or mean nothing, and properties that wait for each other."""
    yield from _clashes(found)
    for index, each in enumerate(found.properties):
        yield from _layer_clashes(found, index, each)
        yield from _strangers(found, index, each)
    yield from _cycles(found)
    if isinstance(found.output, str) and found.output not in {each.name for each in found.properties}:
        yield Fault("output", f"there is no property {found.output}", "unknown")


def _clashes(found: Sketch) -> Iterator[Fault]:
    named = [(f"inputs[{index}].name", name) for index, name in enumerate(found.inputs)]
    named += [(f"properties[{index}].name", each.name) for index, each in enumerate(found.properties)]
    counted = Counter(name for _, name in named)
    for place, name in named:
        if name == PREVIOUS:
            yield Fault(place, f"{name} is a reserved name")
        elif name is not None and counted[name] > 1:
            yield Fault(place, f"{name} names more than one input or property", "duplicate")


def _layer_clashes(found: Sketch, index: int, each: Node) -> Iterator[Fault]:
    taken = {*found.inputs, *(other.name for other in found.properties)} - {each.name}
    before: set[str] = set()
    for number, layer in enumerate(each.layers):
        name = _name(layer)
        place = f"properties[{index}].layers[{number}].name"
        if name is None:
            continue
        if name == PREVIOUS:
            yield Fault(place, f"{name} is a reserved name")
        elif name in taken:
            yield Fault(place, f"{name} is an input's or another property's name too", "duplicate")
        elif name in before:
            yield Fault(place, f"{name} names two layers of this property", "duplicate")
        before.add(name)


def _strangers(found: Sketch, index: int, each: Node) -> Iterator[Fault]:
    known = {*found.inputs, *(other.name for other in found.properties)}
    later = {name for layer in each.layers if (name := _name(layer))}
    reachable: set[str] = set()
    for number, layer in enumerate(each.layers):
        for field, name in _referred(layer):
            if name not in reachable and (name in later or name not in known):
                yield Fault(f"properties[{index}].layers[{number}].{field}", _unreachable(name, later), "unknown")
        reachable |= {PREVIOUS, _name(layer) or PREVIOUS}


def _unreachable(name: str, later: set[str]) -> str:
    if name == PREVIOUS:
        return "{{previous}} means the layer before, and there is none"
    if name in later:
        return f"{{{{{name}}}}} is a layer that has not run yet"
    return f"{{{{{name}}}}} is no input, property or earlier layer"


def _cycles(found: Sketch) -> Iterator[Fault]:
    places = {each.name: index for index, each in enumerate(found.properties) if each.name}
    edges = {each.name: needs(each) & set(places) for each in found.properties if each.name}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        ring = error.args[1]
        yield Fault(f"properties[{places[ring[0]]}]", f"properties wait for each other: {' → '.join(ring)}")


def _referred(layer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field, text in kinds.texts(layer):
        for name in rendering.references(text).names:
            yield field, name


def _name(found: Any) -> str | None:
    name = _object(found).get("name")
    return name if isinstance(name, str) else None


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
