"""Fills references into text: `{{name.path[0]}}` and `${VAR}`, in one pass, and nothing else.

A value is never scanned again, so what a user types can never become a reference.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
PATH = r"(?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\d{1,9}\])*"
REFERENCE = re.compile(
    r"\{\{\s*(?P<name>" + NAME + r")(?P<path>" + PATH + r")\s*\}\}|\$\{(?P<variable>[A-Z][A-Z0-9_]*)\}"
)
#: A text that comes to more is refused while it is filled: a template may name a large value many times.
MOST_CHARACTERS = 16 << 20
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]")
_BRACES = re.compile(r"\{\{.{0,60}?\}\}", re.DOTALL)


class Unset(LookupError):
    """A variable that has no value."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the variable {name} has no value")


class References(NamedTuple):
    """What a text refers to, each name once, in the order of the text."""

    names: tuple[str, ...]
    variables: tuple[str, ...]


def references(text: str) -> References:
    """Return the names and variables that a text refers to."""
    found = list(REFERENCE.finditer(text))
    return References(
        tuple(dict.fromkeys(match["name"] for match in found if match["name"])),
        tuple(dict.fromkeys(match["variable"] for match in found if match["variable"])),
    )


def strays(text: str) -> list[str]:
    """Return what looks like a reference and is none; it stays in the text as it is."""
    return [match[0] for match in _BRACES.finditer(text) if not REFERENCE.fullmatch(match[0])]


def render(text: str, values: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> str:
    """Fill every reference; a path that leads nowhere renders empty.

    KeyError for a name without a value, Unset for a variable without one, ValueError where it comes to more than
    MOST_CHARACTERS.
    """
    count = len(text)

    def fill(match: re.Match[str]) -> str:
        nonlocal count
        if match["variable"]:
            if match["variable"] not in (variables or {}):
                raise Unset(match["variable"])
            found = (variables or {})[match["variable"]]
        else:
            found = as_text(follow(values[match["name"]], match["path"]))
        count += len(found)
        if count > MOST_CHARACTERS:
            raise ValueError(f"it renders to more than {MOST_CHARACTERS} characters")
        return found

    return REFERENCE.sub(fill, text)


def value(text: str, values: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> Any:
    """A text that is one reference and nothing else gives the value itself; any other is rendered."""
    whole = REFERENCE.fullmatch(text.strip())
    if whole and whole["name"]:
        return follow(values[whole["name"]], whole["path"])
    return render(text, values, variables)


def follow(found: Any, path: str) -> Any:
    """Walk a path (`.author`, `[0]`) into a value; None where it leads nowhere."""
    for key, index in _STEP.findall(path):
        if key:
            found = found.get(key) if isinstance(found, Mapping) else None
        else:
            found = found[int(index)] if isinstance(found, list) and int(index) < len(found) else None
    return found


def as_text(found: Any) -> str:
    """A string as it is, nothing for null, everything else as compact JSON."""
    if isinstance(found, str):
        return found
    if found is None:
        return ""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
