"""The timeline of an execution: a bar a layer, on one scale, so that what ran at once stands one above the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WIDTH = 40
# By whether the left and the right half of a cell are filled.
HALVES = {(False, False): " ", (True, False): "▌", (False, True): "▐", (True, True): "█"}
COLOURS = (36, 33, 35, 34, 32)
RED = 31


@dataclass(frozen=True, slots=True)
class Bar:
    """One layer: its path, and when it ran, in seconds since the execution's start."""

    path: str
    start: float
    end: float
    passed: bool = True


def bars(report: Mapping[str, Any]) -> list[Bar]:
    """Return a bar for each layer of a `/v2` report that has ended, in the order of their starts."""
    zero = _time(report["started_at"])
    found = [
        Bar(
            layer["path"],
            _time(layer["started_at"]) - zero,
            _time(layer["ended_at"]) - zero,
            layer["state"] == "passed",
        )
        for each in report["properties"]
        for layer in _layers(each["layers"])
        if layer["started_at"] and layer["ended_at"]
    ]
    return sorted(found, key=lambda bar: bar.start)


def draw(found: Sequence[Bar], *, width: int = WIDTH, coloured: bool = False) -> list[str]:
    """Draw bars as lines of equal length, scaled so that the last end is the right edge.

    A layer that was too short for half a cell gets one. With `coloured`, each property has its colour, and what
    failed is red.
    """
    seconds = max((bar.end for bar in found), default=0.0) or 1.0
    margin = max((len(bar.path) for bar in found), default=0)
    properties = list(dict.fromkeys(bar.path.partition("/")[0] for bar in found))
    lines = []
    for bar in found:
        cells = _cells(bar, width, seconds)
        if coloured:
            number = properties.index(bar.path.partition("/")[0])
            cells = f"\x1b[{COLOURS[number % len(COLOURS)] if bar.passed else RED}m{cells}\x1b[0m"
        lines.append(f"{bar.path:<{margin}} │{cells}│ {duration(bar.end - bar.start):>7}")
    return lines


def duration(seconds: float) -> str:
    """Write a time as people say it: `0.4 ms`, `152 ms`, `1.53 s`."""
    if seconds < 0.0001:
        return "<0.1 ms"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def _layers(found: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Layers, each before those inside of it."""
    for layer in found:
        yield layer
        if inside := layer.get("inner"):
            yield from _layers(inside["layers"])


def _cells(bar: Bar, width: int, seconds: float) -> str:
    first = min(round(bar.start / seconds * 2 * width), 2 * width - 1)
    last = max(round(bar.end / seconds * 2 * width), first + 1)
    filled = [first <= half < last for half in range(2 * width)]
    return "".join(HALVES[pair] for pair in zip(filled[::2], filled[1::2], strict=True))


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
