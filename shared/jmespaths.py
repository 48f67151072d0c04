"""JMESPath (https://jmespath.org) with a bound on what an expression may make of a value.

An expression of a hundred characters can double a value thirty times. Doubled lists share what they hold, and cost
nothing until they are flattened, joined or written; so it is there that they are measured first.
"""

from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath import functions, visitor

from shared import strict_json

#: The most items of a list, and the most characters of a text or of a value written as JSON.
MOST_ITEMS = 1_000_000
MOST_CHARACTERS = 16 << 20


def compiled(expression: str) -> Any:
    """An expression ready to be searched with; JMESPathError says what is wrong with it, RecursionError too deep."""
    return jmespath.compile(expression)


def search(expression: str, value: Any) -> Any:
    """Apply an expression to a value; JMESPathError or TypeError where they do not fit, ValueError where it grows."""
    found = _Interpreter(jmespath.Options(custom_functions=_Functions())).visit(compiled(expression).parsed, value)
    _written(found)
    return found


def names(expression: str) -> frozenset[str]:
    """The names that an expression looks up in what it is applied to; ValueError where it takes all of that at once."""
    return frozenset(_names(compiled(expression).parsed))


def only_picks(expression: str) -> bool:
    """True for an expression that gives a part of what it is applied to, and makes nothing new of it."""
    return _picks(compiled(expression).parsed)


def misused(expression: str) -> str | None:
    """What is wrong with the functions that an expression calls: unknown ones, and wrong numbers of arguments."""
    return next(_misused(compiled(expression).parsed), None)


_PICKS = frozenset({
    *("field", "current", "identity", "index", "slice", "subexpression", "index_expression", "pipe", "expref"),
    *("projection", "value_projection", "flatten"),
})
_PICKING_FUNCTIONS = frozenset({"max_by", "min_by", "reverse", "sort", "sort_by", "max", "min", "values"})


def _picks(node: Any) -> bool:
    kind, children = node["type"], [each for each in node["children"] if isinstance(each, dict)]
    if kind == "filter_projection":
        # The third of its parts decides what is kept, and is not kept itself.
        return all(map(_picks, children[:2]))
    if kind == "function_expression":
        return node["value"] in _PICKING_FUNCTIONS and all(map(_picks, children))
    return kind in _PICKS and all(map(_picks, children))


def _misused(node: Any) -> Iterator[str]:
    if node["type"] == "function_expression":
        known = _Functions().FUNCTION_TABLE.get(node["value"])
        given = len(node["children"])
        if known is None:
            yield f"there is no function {node['value']}()"
        else:
            wanted = known["signature"]
            many = bool(wanted) and wanted[-1].get("variadic")
            if given < len(wanted) or (given > len(wanted) and not many):
                yield f"{node['value']}() takes {len(wanted)} arguments, not {given}"
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _misused(child)


def _names(node: Any) -> Iterator[str]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield node["value"]
    elif kind in ("current", "identity") or (kind == "flatten" and not children):
        raise ValueError("must begin with a name")
    elif kind in _LEFT_FIRST:
        # What stands behind is applied to what stands before.
        yield from _names(children[0])
    elif kind != "expref":
        for child in children:
            yield from _names(child)


#: Nodes of which only the first child sees the value itself.
_LEFT_FIRST = frozenset({
    "subexpression",
    "index_expression",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
    "pipe",
})


class _Interpreter(visitor.TreeInterpreter):
    """Measures a list before it is flattened."""

    def visit_flatten(self, node: Any, value: Any) -> Any:
        base = self.visit(node["children"][0], value)
        if isinstance(base, list) and sum(len(each) if isinstance(each, list) else 1 for each in base) > MOST_ITEMS:
            raise ValueError(f"it makes a list of more than {MOST_ITEMS} items")
        flattened: Any = {**node, "children": [{"type": "literal", "value": base, "children": []}]}
        return super().visit_flatten(flattened, value)


class _Functions(functions.Functions):
    """Measures a text before it is made."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        if sum(map(len, array)) + len(separator) * len(array) > MOST_CHARACTERS:
            raise ValueError(f"it makes a text of more than {MOST_CHARACTERS} characters")
        return separator.join(array)

    @functions.signature({"types": []})
    def _func_to_string(self, argument: Any) -> Any:
        _written(argument)
        return argument if isinstance(argument, str) else strict_json.dumps(argument)


def _written(value: Any) -> None:
    if strict_json.characters(value, at_most=MOST_CHARACTERS) > MOST_CHARACTERS:
        raise ValueError(f"it makes a value of more than {MOST_CHARACTERS} characters")
