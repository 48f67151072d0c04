"""JMESPath (https://jmespath.org) with a bound on what an expression may make of a value.

An expression of a hundred characters can double a value thirty times. Doubled lists share what they hold, and cost
nothing until they are flattened, joined or written; so it is there that they are measured first.
"""

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
