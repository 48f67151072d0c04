"""How large the output of a layer can get that asks no model, where what it works on is not there yet."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared import bounds, jmespaths, rendering
from shared.bounds import Guess

#: Around an item of a list, as JSON.
_AROUND = 4
#: Names and headers of an answer over HTTP.
_HEADERS = 1 << 17
#: A chunk of a document, with all that is told of it.
_CHUNK = 1 << 14


def of_text(text: str, scope: Mapping[str, Guess]) -> int | None:
    """A text with its references filled."""
    literal = rendering.REFERENCE.sub("", text)
    names = [match["name"] or match[0] for match in rendering.REFERENCE.finditer(text)]
    return bounds.add(len(literal.encode(errors="replace")), bounds.total(scope[name].size for name in names))


def of_template(template: Any, scope: Mapping[str, Guess]) -> int | None:
    """Any JSON with the references of its texts filled."""
    if isinstance(template, str):
        return bounds.multiply(bounds.add(of_text(template, scope), 2), 2)
    if isinstance(template, Mapping):
        return bounds.total([*(of_template(each, scope) for each in template.values()), of_keys(template)])
    if isinstance(template, list):
        return bounds.total([*(of_template(each, scope) for each in template), _AROUND * (len(template) + 1)])
    return len(rendering.as_text(template)) + _AROUND


def of_list(sizes: Iterable[int | None]) -> int | None:
    """A list of values of these sizes: each becomes JSON, which puts a text in quotes."""
    return bounds.total(bounds.add(bounds.multiply(each, 2), _AROUND) for each in [0, *sizes])


def of_keys(names: Iterable[str]) -> int:
    """The names of an object's values, and what stands around them."""
    return sum(2 * len(name.encode(errors="replace")) + _AROUND for name in names) + 2


def of_output(kind: str, settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:
    """The output of a layer of a kind; None for those that nothing is known of."""
    found = _KINDS.get(kind)
    return found(settings, scope) if found else None


def _text(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:
    size = of_text(settings["value"], scope)
    match settings["operation"]:
        case "join":
            return bounds.multiply(size, 1 + len(settings["separator"].encode()))
        case "split":
            return bounds.add(bounds.multiply(size, _AROUND), 2)
        case "replace":
            return bounds.multiply(size, bounds.add(1, of_text(settings["replacement"], scope)))
        case "case":
            # Some letters become three.
            return bounds.multiply(size, 3)
        case _:
            return size


def _extract(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:
    return of_text(settings["value"], scope) if jmespaths.only_picks(settings["expression"]) else None


def _merge(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:
    there = [text for text in settings["values"] if scope.keys() >= set(rendering.references(text).names)]
    return of_list(of_text(text, scope) for text in there)


def _assert(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:
    return of_text(settings["value"], scope)


def _http(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:  # noqa: ARG001
    return int(settings["max_bytes"]) * _AROUND + _HEADERS


def _retrieve(settings: Mapping[str, Any], scope: Mapping[str, Guess]) -> int | None:  # noqa: ARG001
    return int(settings["limit"]) * _CHUNK


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Guess]], int | None]] = {
    "text": _text,
    "extract": _extract,
    "merge": _merge,
    "assert": _assert,
    "http": _http,
    "retrieve": _retrieve,
}
