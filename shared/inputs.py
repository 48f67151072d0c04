"""Binds what a caller gave to the inputs that a plan declares, and names every fault at once."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from shared import strict_json
from shared.errors import Fault
from shared.plan import Input, Plan

#: Deepest nesting of a value that is written as JSON in a text.
MAX_DEPTH = 32

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def bind(
    plan: Plan, given: Iterable[tuple[str, Any]], *, text_inputs: bool = False
) -> tuple[dict[str, Any], list[Fault]]:
    """Return a value for every declared input, and the faults: what is missing, unknown, given twice, mistyped.

    An absent optional input gets its default, else null. With `text_inputs`, on a wire that knows scalars only, a
    string for an input of another type is read as JSON.
    """
    pairs = list(given)
    # A null is as good as nothing where JSON has types, and of the wrong type where there are scalars only.
    values = {name: value for name, value in pairs if value is not None or text_inputs}
    declared = {each.name: each for each in plan.inputs}
    faults = [*_missing(values, declared), *_strangers(pairs, declared)]
    bound = {name: each.default for name, each in declared.items()}
    for name, found in values.items():
        if name in declared:
            try:
                bound[name] = convert(declared[name].type, found, text=text_inputs)
            except ValueError as error:
                faults.append(Fault(f"inputs.{name}", str(error), "invalid"))
    return bound, faults


def convert(type_name: str, found: Any, *, text: bool = False) -> Any:
    """Return a value as the JSON type it is declared to have; ValueError says what was expected."""
    if type_name == "string" and isinstance(found, bool | int | float):
        return json.dumps(found)
    if text and not isinstance(found, str | bool | int | float):
        raise ValueError("must be a string, a number or a boolean")
    if text and type_name != "string" and isinstance(found, str):
        found = _read(type_name, found)
    if type_name == "integer" and isinstance(found, float) and found.is_integer():
        return int(found)
    if not isinstance(found, TYPES[type_name]) or (isinstance(found, bool) and type_name != "boolean"):
        raise ValueError(f"must be {_article(type_name)}")
    return found


def _read(type_name: str, text: str) -> Any:
    try:
        found = strict_json.loads(text, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise ValueError(f"must be {_article(type_name)} written as JSON") from error
    if any(True for _ in strict_json.unstorable(found)):
        raise ValueError("must not hold NUL characters or lone surrogates")
    return found


def _strangers(pairs: list[tuple[str, Any]], declared: dict[str, Input]) -> list[Fault]:
    counted = Counter(name for name, _ in pairs)
    unknown = [name for name in counted if name not in declared]
    twice = [name for name, count in counted.items() if count > 1]
    return [
        *(Fault(f"inputs.{name}", "is not an input of this pipeline", "unknown") for name in unknown),
        *(Fault(f"inputs.{name}", "is given twice", "duplicate") for name in twice),
    ]


def _missing(values: dict[str, Any], declared: dict[str, Input]) -> list[Fault]:
    return [
        Fault(f"inputs.{name}", "is required", "missing")
        for name, each in declared.items()
        if each.required and each.default is None and name not in values
    ]


def _article(type_name: str) -> str:
    return f"{'an' if type_name[0] in 'aio' else 'a'} {type_name}"
