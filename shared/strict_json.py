"""JSON as RFC 8259 has it and Postgres can store it; Python's own reader takes more."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: Deepest nesting where nobody names a lower bound; far below Python's recursion limit.
MAX_DEPTH = 200
# Possessive, and good without its end: a string that is never closed is read once, not once from each of its quotes.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def loads(text: str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Read JSON; ValueError names what is wrong: NaN, Infinity, numbers beyond a float, a key given twice, depth."""
    if depth(text) > max_depth:
        raise ValueError(f"nested deeper than {max_depth} levels")
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno} column {error.colno}") from error


def dumps(value: Any) -> str:
    """Write compact JSON that Postgres can store; what it cannot is replaced by U+FFFD.

    ValueError for NaN and Infinity, which are no JSON.
    """
    written = _COMPACT.encode(value)
    if "\\u0000" in written or not _encodable(written):
        written = _COMPACT.encode(clean(value))
    return written


def characters(value: Any, *, at_most: int) -> int:
    """About how many characters a value has as JSON; counting stops beyond a number, however much there is."""
    count, left = 0, [value]
    while left and count <= at_most:
        each = left.pop()
        count += 2
        if isinstance(each, str):
            count += len(each)
        elif isinstance(each, dict):
            count += sum(map(len, each))
            left.extend(each.values())
        elif isinstance(each, list):
            count += len(each)
            left.extend(each)
    return count


def depth(text: str) -> int:
    """How deep the brackets of a JSON text are nested, strings left out."""
    if text.count("[") + text.count("{") <= 1:
        return 1
    deepest = level = 0
    for mark in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        level += 1 if mark in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def unstorable(value: Any, place: str = "") -> Iterator[str]:
    """The places of texts that hold a NUL character or half of a surrogate pair; keys too."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            shown = clean(key)
            if shown != key:
                yield f"{place}.{shown}".lstrip(".")
            yield from unstorable(inner, f"{place}.{shown}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unstorable(inner, f"{place}[{index}]")


def clean(value: Any) -> Any:
    """The same value with U+FFFD for every character that Postgres cannot store."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = sorted(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"given twice: {', '.join(clean(key)[:100] for key in twice[:20])}")
    return found
