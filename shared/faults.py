"""Turns marshmallow's nested messages into faults with places: `properties[1].layers[0].prompt`."""

from collections.abc import Iterator
from typing import Any

from shared.errors import Fault


def flatten(messages: Any, place: str = "") -> list[Fault]:
    """Return one fault a message, in the order of their places."""
    return list(_flatten(messages, place))


def _flatten(messages: Any, place: str) -> Iterator[Fault]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from _flatten(_of_entry(key, inner), _join(place, key))
    else:
        for message in messages if isinstance(messages, list) else [messages]:
            yield Fault(place or "body", _sentence(str(message)), _code(str(message)))


def _of_entry(key: Any, messages: Any) -> Any:
    """Marshmallow tells a fault in a map as of `key` or `value`; the place is the entry itself."""
    if isinstance(key, str) and isinstance(messages, dict) and set(messages) <= {"key", "value"}:
        return [message for inner in messages.values() for message in inner]
    return messages


def _join(place: str, key: Any) -> str:
    if key == "_schema":
        return place
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else str(key)


def _code(message: str) -> Any:
    return {"Missing data for required field.": "missing", "Unknown field.": "unknown"}.get(message, "invalid")


def _sentence(message: str) -> str:
    known = {"Missing data for required field.": "is required", "Unknown field.": "is not a field here"}
    text = known.get(message, message).rstrip(".")
    return text[:1].lower() + text[1:]
