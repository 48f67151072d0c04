"""Strings and numbers that keep to a JSON schema's bounds and still look right for the property's name."""

import math
import re
from random import Random
from typing import Any
from uuid import UUID

from deploy.demo_model import wording
from deploy.demo_model.errors import Refused

Schema = dict[str, Any]
_MAX_LENGTH = 100_000
_FORMATS = {
    "date-time": "2026-03-14T09:30:00Z",
    "date": "2026-03-14",
    "time": "09:30:00Z",
    "duration": "PT45M",
    "email": "ada@example.com",
    "hostname": "www.example.com",
    "ipv4": "192.0.2.17",
    "ipv6": "2001:db8::17",
    "uri": "https://example.com/a",
    "uri-reference": "/a",
}
# Tried in turn against a pattern: real schemas mostly ask for codes, digits and dates.
_CANDIDATES = (
    "A", "a", "1", "AB", "ab", "12", "ABC", "abc", "123", "en-GB", "en_GB", "A1", "A-1", "AB-12", "ABC-123",
    "ABC123", "abc-def", "abc_def", "#12abef", "1234", "12345", "123456", "12:30", "12:30:00", "2026-03",
    "2026-03-14", "2026-03-14T09:30:00Z", "1.2.3", "v1.2.3", "0.5", "12.50", "50%", "+351215550134", "555-0134",
    "ada@example.com", "https://example.com/a", "Ada Moreau",
)  # fmt: skip


def string(schema: Schema, name: str, words: list[str], random: Random) -> str:
    """A string with the schema's format, pattern and length; a rare pattern may be missed."""
    form = schema.get("format")
    if form == "uuid":
        return str(UUID(int=random.getrandbits(128), version=4))
    text = str(_FORMATS.get(str(form)) or wording.text(name, words, random))
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        text = _matching(pattern, text)
    lowest, highest = int(schema.get("minLength", 0)), schema.get("maxLength")
    if lowest > _MAX_LENGTH:
        raise Refused(f"the JSON schema asks for texts of more than {_MAX_LENGTH} characters")
    while len(text) < lowest:
        text = f"{text} {random.choice(words)}" if text else random.choice(words)
    if highest is None or len(text) <= highest:
        return text
    cut = text[: int(highest)]
    return cut.rstrip() if len(cut.rstrip()) >= lowest else cut


def number(schema: Schema, name: str, random: Random) -> int | float:
    """A number within the schema's bounds, whole if the schema wants integers, a multiple if it wants that."""
    whole = schema.get("type") == "integer"
    step = schema.get("multipleOf") or (1 if whole else None)
    low, high = _bounds(schema, name)
    if step is None:
        drawn = random.uniform(low, high)
        rounded = round(drawn, 1 if high - low > 2 else 2)
        return rounded if low <= rounded <= high and _strictly(schema, rounded) else _inner(schema, low, high)
    first, last = math.ceil(low / step), math.floor(high / step)
    first += not _strictly(schema, first * step)
    last -= not _strictly(schema, last * step)
    value = random.randint(first, max(first, last)) * step
    return int(value) if whole else value


def _bounds(schema: Schema, name: str) -> tuple[float, float]:
    """The span that suits the name, moved into what the schema allows."""
    low, high = wording.span(name)
    lows = [schema[key] for key in ("minimum", "exclusiveMinimum") if _is_number(schema.get(key))]
    highs = [schema[key] for key in ("maximum", "exclusiveMaximum") if _is_number(schema.get(key))]
    step = schema.get("multipleOf") or 1
    lowest = max(lows) if lows else min([low, *(bound - 10 * step for bound in highs)])
    highest = min(highs) if highs else max([high, *(bound + 10 * step for bound in lows)])
    # The sensible span wins where it fits in between and leaves a choice.
    if lowest <= low < high <= highest and high - low >= step:
        return low, high
    return lowest, highest


def _is_number(value: Any) -> bool:
    # Draft 4 wrote exclusive bounds as booleans.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _strictly(schema: Schema, value: float) -> bool:
    return value not in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))


def _inner(schema: Schema, low: float, high: float) -> float:
    return low if low == high and _strictly(schema, low) else (low + high) / 2


def _matching(pattern: str, text: str) -> str:
    try:
        expression = re.compile(pattern)
    except re.error:
        return text
    return next((each for each in (text, *_CANDIDATES) if expression.search(each)), text)
