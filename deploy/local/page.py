"""What the demo shows: progress, answers, timelines, a summary; coloured on a terminal, plain elsewhere."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any, TextIO

from deploy.local import timeline
from deploy.local.wires import Run

WIDTH = 100
LONGEST_TEXT = 84
MOST_ITEMS = 4
BOLD, FAINT, RED, GREEN = 1, 2, 31, 32
MARGIN = " " * 4


class Page:
    """Where the demo writes; the clock of its progress lines starts with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def progress(self, text: str) -> None:
        """Say what is being done."""
        self.write(f"{self._paint(f'{self.seconds:5.1f} s', FAINT)}  {text}")

    def pipeline(self, found: Mapping[str, Any]) -> None:
        """Begin a pipeline."""
        definition = found["definition"]
        self.write(f"\n{self._paint(found['handle'], BOLD)}  {definition.get('description', '')}")

    def passed(self, wire: str, run: Run, answer: list[str]) -> None:
        """Show an execution that passed."""
        self._head(wire, run.request, self._paint("passed", GREEN))
        self._indented(answer)
        self._timeline(run)

    def failed(self, wire: str, error: str, run: Run | None = None) -> None:
        """Show an execution that failed, or was not even accepted."""
        self._head(wire, run.request if run else "", self._paint("failed", RED))
        self._indented([self._paint(line, RED) for line in error.splitlines()])
        if run is not None and run.report["started_at"]:
            self._timeline(run)

    def total(self, text: str, *, good: bool) -> None:
        """Show the last line of all."""
        self.write(f"\n{self._paint(text, GREEN if good else RED)}")

    def write(self, text: str) -> None:
        """Write lines."""
        print(text, file=self._stream, flush=True)

    def _head(self, wire: str, request: str, state: str) -> None:
        self.write(f"  {wire:<13} {state}  {self._paint(request, FAINT)}")

    def _timeline(self, run: Run) -> None:
        bars = timeline.bars(run.report)
        self._indented(timeline.draw(bars, coloured=self._coloured))
        calls = sum(layer["calls"] for each in run.report["properties"] for layer in each["layers"])
        tokens = run.report["usage"]["total_tokens"]
        took = timeline.duration(max((bar.end for bar in bars), default=0.0))
        self._indented([self._paint(f"{took}, {tokens} tokens, {calls} model call{'s' * (calls != 1)}", FAINT)])

    def _indented(self, lines: list[str]) -> None:
        for line in lines:
            self.write(f"{MARGIN}{line}")

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and text else text


def pretty(found: Any, width: int = WIDTH) -> list[str]:
    """Return a JSON value as lines: what fits on one stands on one; long texts and lists are cut short."""
    return _lines(_shortened(found), width)


def _lines(found: Any, width: int) -> list[str]:
    line = json.dumps(found, ensure_ascii=False)
    if len(line) <= width or not isinstance(found, list | dict):
        return [line]
    heads = [f"{json.dumps(name)}: " for name in found] if isinstance(found, dict) else [""] * len(found)
    values = list(found.values()) if isinstance(found, dict) else found
    inner: list[str] = []
    for number, (head, value) in enumerate(zip(heads, values, strict=True), start=1):
        first, *rest = _lines(value, width - 3 - len(head))
        block = [head + first, *rest]
        block[-1] += "," if number < len(values) else ""
        inner += [f"  {each}" for each in block]
    opening, closing = "{}" if isinstance(found, dict) else "[]"
    return [opening, *inner, closing]


def _shortened(found: Any) -> Any:
    if isinstance(found, str):
        return found if len(found) <= LONGEST_TEXT else f"{found[: LONGEST_TEXT - 1].rstrip()}…"
    if isinstance(found, dict):
        return {name: _shortened(value) for name, value in found.items()}
    if isinstance(found, list):
        kept = [_shortened(value) for value in found[:MOST_ITEMS]]
        return [*kept, f"… and {len(found) - MOST_ITEMS} more"] if len(found) > MOST_ITEMS else kept
    return found
