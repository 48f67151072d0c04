"""What differs between two definitions: each place with its old and its new value, and long texts line by line.

Inputs, properties and layers are matched by their names, wherever they stand; layers and messages without a name by
what they are, in their order. Two definitions have no differences exactly where they have the same hash.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

#: Lists whose items are matched one by one; any other list is a value as a whole.
_MATCHED = ("inputs", "properties", "layers", "messages")
#: Texts longer than this, or of several lines, are told line by line too.
_SHORT = 80
#: Lines that are compared at most, over all texts: comparing takes time by their square.
MOST_LINES = 5_000
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    `kind` is `added`, `removed`, `changed` or `moved`; of a list that was put in another order, the values are the
    names of what is in both. `place` reads `properties[reviews].layers[write].prompt`; the pointers are RFC 6901's,
    each into its own definition, and None where the place is not in that one.
    """

    kind: str
    place: str
    old_pointer: str | None
    new_pointer: str | None
    old: Any = None
    new: Any = None
    #: A unified diff of a long text.
    lines: str | None = None


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every difference, in the order of the definitions."""
    left = MOST_LINES
    found: list[Change] = []
    for change in _objects(_Spot(old), _Spot(new)):
        lines = _lines(change, left)
        if lines is not None:
            left -= change.old.count("\n") + change.new.count("\n") + 2
        found.append(replace(change, lines=lines))
    return found


@dataclass(frozen=True, slots=True)
class _Spot:
    """A value where it stands."""

    value: Any
    place: str = ""
    pointer: str = ""

    def entry(self, key: str) -> "_Spot":
        shown = key if _WORD.match(key) else f"[{json.dumps(key, ensure_ascii=False)}]"
        place = f"{self.place}.{shown}" if self.place and shown == key else f"{self.place}{shown}"
        escaped = key.replace("~", "~0").replace("/", "~1")
        return _Spot(self.value[key], place, f"{self.pointer}/{escaped}")

    def label(self, index: int) -> str:
        return str(self.value[index].get("name", index))

    def item(self, index: int) -> "_Spot":
        return _Spot(self.value[index], f"{self.place}[{self.label(index)}]", f"{self.pointer}/{index}")


def _objects(old: _Spot, new: _Spot) -> Iterator[Change]:
    for key in dict.fromkeys((*old.value, *new.value)):
        if key not in new.value:
            yield _removed(old.entry(key))
        elif key not in old.value:
            yield _added(new.entry(key))
        else:
            yield from _values(key, old.entry(key), new.entry(key))


def _values(key: str, old: _Spot, new: _Spot) -> Iterator[Change]:
    if isinstance(old.value, dict) and isinstance(new.value, dict):
        yield from _objects(old, new)
    elif key in _MATCHED and _can_match(old.value) and _can_match(new.value):
        yield from _lists(old, new)
    elif _written(old.value) != _written(new.value):
        yield Change("changed", new.place, old.pointer, new.pointer, old.value, new.value)


def _lists(old: _Spot, new: _Spot) -> Iterator[Change]:
    pairs = sorted(_matched(old.value, new.value))
    numbers = [number for _, number in pairs]
    if numbers != sorted(numbers):
        before, after = [old.label(index) for index, _ in pairs], [new.label(number) for number in sorted(numbers)]
        yield Change("moved", new.place, old.pointer, new.pointer, before, after)
    kept = {index for index, _ in pairs}
    yield from (_removed(old.item(index)) for index in range(len(old.value)) if index not in kept)
    found = {number: index for index, number in pairs}
    for number in range(len(new.value)):
        if number in found:
            yield from _objects(old.item(found[number]), new.item(number))
        else:
            yield _added(new.item(number))


def _matched(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Pairs of indexes of what is the same thing in both lists."""
    names = {each["name"]: number for number, each in enumerate(new) if "name" in each}
    pairs = [(index, names[each["name"]]) for index, each in enumerate(old) if each.get("name") in names]
    nameless = [[index for index, each in enumerate(side) if "name" not in each] for side in (old, new)]
    before, after = [_written(old[index]) for index in nameless[0]], [_written(new[index]) for index in nameless[1]]
    for _, start, end, first, last in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        left = nameless[1][first:last]
        for index in nameless[0][start:end]:
            alike = [each for each in left if new[each].get("kind") == old[index].get("kind")]
            if alike:
                pairs.append((index, alike[0]))
                left = [each for each in left if each > alike[0]]
    return pairs


def _can_match(found: Any) -> bool:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return False
    names = [each["name"] for each in found if "name" in each]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def _written(found: Any) -> str:
    """A value as the hash of a definition sees it: 1 is not true, and not 1.0."""
    return json.dumps(found, sort_keys=True)


def _added(new: _Spot) -> Change:
    return Change("added", new.place, None, new.pointer, new=new.value)


def _removed(old: _Spot) -> Change:
    return Change("removed", old.place, old.pointer, None, old=old.value)


def _lines(change: Change, left: int) -> str | None:
    old, new = change.old, change.new
    if not (isinstance(old, str) and isinstance(new, str) and (_is_long(old) or _is_long(new))):
        return None
    if old.count("\n") + new.count("\n") + 2 > left:
        return None
    return "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), "old", "new", lineterm=""))


def _is_long(text: str) -> bool:
    return len(text) > _SHORT or "\n" in text
