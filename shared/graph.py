"""The graph of a definition: what each property reads, and what is wrong with it.

Works on a sketch, the well-formed parts of a definition, so that a bad setting here does not hide a bad name there.
"""

from collections import Counter
from collections.abc import Iterator, Set
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from shared import kinds
from shared.errors import Fault
from shared.kinds import Read
from shared.plan import PREVIOUS

#: Layers inside of layers, at most so deep.
MAX_DEPTH = 5


class Node(NamedTuple):
    """A property as far as it is well formed; a name that is no text is None."""

    name: str | None
    layers: list[dict[str, Any]]
    when: Any = None


class Sketch(NamedTuple):
    """Names and texts of a definition, in their places."""

    inputs: list[str | None]
    properties: list[Node]
    output: Any


def sketch(source: Any) -> Sketch:
    """Keep of a definition what is well formed, at its index."""
    source = source if isinstance(source, dict) else {}
    properties = [
        Node(_name(each), [_object(layer) for layer in _list(_object(each).get("layers"))], _object(each).get("when"))
        for each in _list(source.get("properties"))
    ]
    return Sketch([_name(each) for each in _list(source.get("inputs"))], properties, source.get("output"))


def layers(found: Sketch) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every layer with its place, those inside of others too."""
    for index, each in enumerate(found.properties):
        yield from _deep(each.layers, f"properties[{index}]")


def inside(layer: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers inside of a layer, as far as they are well formed."""
    return [_object(each) for each in _list(layer.get("layers"))]


def reads(layer: dict[str, Any]) -> Iterator[Read]:
    """Every name that a layer needs from outside of itself, and those that the layers inside of it do."""
    yield from kinds.reads(layer)
    inner = inside(layer)
    given = kinds.inner_names(layer)
    for setting in sorted(kinds.inner_conditions(layer)):
        yield from (each for each in kinds.condition_reads(setting, layer.get(setting)) if each.name not in given)
    own = given | {_name(each) for each in inner}
    for number, each in enumerate(inner):
        for read in reads(each):
            if read.name not in own:
                yield read._replace(place=f"layers[{number}].{read.place}")


def needs(each: Node) -> set[str]:
    """Names from outside a property that it refers to: inputs and other properties."""
    return {read.name for read in _outside(each)}


def optional(each: Node) -> set[str]:
    """Those of its needs that may be skipped without the property being so."""
    return needs(each) - {read.name for read in _outside(each) if not read.optional}


def faults(found: Sketch) -> Iterator[Fault]:
    """Names that clash or mean nothing, and properties that wait for each other."""
    yield from _clashes(found)
    outer = {*found.inputs, *(other.name for other in found.properties)} - {None}
    for index, each in enumerate(found.properties):
        place = f"properties[{index}]"
        yield from _layer_clashes(each.layers, place, outer - {each.name}, frozenset())
        yield from _conditions(each, place, outer)
        yield from _strangers(each.layers, place, outer, frozenset())
        yield from _too_deep(each.layers, place)
    yield from _cycles(found)
    if isinstance(found.output, str) and found.output not in {each.name for each in found.properties}:
        yield Fault("output", f"there is no property {found.output}", "unknown")


def _outside(each: Node) -> Iterator[Read]:
    yield from kinds.condition_reads("when", each.when)
    own = {_name(layer) for layer in each.layers} | {PREVIOUS}
    for layer in each.layers:
        yield from (read for read in reads(layer) if read.name not in own)


def _deep(found: list[dict[str, Any]], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, layer in enumerate(found):
        yield f"{place}.layers[{number}]", layer
        yield from _deep(inside(layer), f"{place}.layers[{number}]")


def _too_deep(found: list[dict[str, Any]], place: str) -> Iterator[Fault]:
    for at, layer in _deep(found, place):
        if at.count(".layers[") == MAX_DEPTH and inside(layer):
            yield Fault(f"{at}.layers", f"layers are inside of each other more than {MAX_DEPTH} deep")


def _clashes(found: Sketch) -> Iterator[Fault]:
    named = [(f"inputs[{index}].name", name) for index, name in enumerate(found.inputs)]
    named += [(f"properties[{index}].name", each.name) for index, each in enumerate(found.properties)]
    counted = Counter(name for _, name in named)
    for place, name in named:
        if name == PREVIOUS:
            yield Fault(place, f"{name} is a reserved name")
        elif name is not None and counted[name] > 1:
            yield Fault(place, f"{name} names more than one input or property", "duplicate")


def _layer_clashes(
    found: list[dict[str, Any]], place: str, taken: Set[str | None], given_around: Set[str]
) -> Iterator[Fault]:
    before: set[str] = set()
    beside = {_name(each) for each in found} - {None}
    for number, layer in enumerate(found):
        at, name = f"{place}.layers[{number}]", _name(layer)
        if name == PREVIOUS:
            yield Fault(f"{at}.name", f"{name} is a reserved name")
        elif name is not None and name in taken:
            yield Fault(f"{at}.name", f"{name} is the name of something else that it sees", "duplicate")
        elif name is not None and name in before:
            yield Fault(f"{at}.name", f"{name} names two layers in one place", "duplicate")
        before |= {name} if name is not None else set()
        given = kinds.inner_names(layer) - {PREVIOUS}
        # In a map inside of a map, `index` is that of the inner one.
        for each in sorted(given & (taken | beside) - given_around):
            yield Fault(at, f"{each} is what its layers see, and the name of something else", "duplicate")
        yield from _layer_clashes(inside(layer), at, taken | beside | given, given_around | given)


def _conditions(each: Node, place: str, known: Set[str | None]) -> Iterator[Fault]:
    for read in kinds.condition_reads("when", each.when):
        if read.name not in known:
            yield Fault(f"{place}.when", f"{read.name} is no input or property", "unknown")


def _strangers(found: list[dict[str, Any]], place: str, known: Set[str | None], seen: Set[str]) -> Iterator[Fault]:
    later = {name for layer in found if (name := _name(layer))}
    reachable = set(seen)
    for number, layer in enumerate(found):
        at = f"{place}.layers[{number}]"
        own = kinds.inner_names(layer)
        referred = [(read, reachable) for read in kinds.reads(layer)]
        for setting in sorted(kinds.inner_conditions(layer)):
            among = reachable | own
            referred += [(read, among) for read in kinds.condition_reads(setting, layer.get(setting))]
        for read, among in referred:
            if read.name not in among and (read.name in later or read.name not in known):
                yield Fault(f"{at}.{read.place}", _unreachable(read.name, later), "unknown")
        yield from _strangers(inside(layer), at, known, reachable | own)
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


def _name(found: Any) -> str | None:
    name = _object(found).get("name")
    return name if isinstance(name, str) else None


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
