"""A client of a thread's stream, as strict as the vendor's: it shows only what it can prove to be whole."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Run:
    """One answer: the texts of its segments, the number of each one's last event, and whether any is incomplete."""

    texts: dict[int, str] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    items: list[tuple[str, str]] = field(default_factory=list)
    gapped: bool = False
    over: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts[segment] for segment in sorted(self.texts))

    def reset(self, segment: int) -> None:
        if not self.last and segment > 0:
            self.gapped = True
        if all(each >= segment for each in self.last):
            self.gapped = segment > 0 and self.gapped
        for each in [each for each in self.last if each >= segment]:
            del self.last[each], self.texts[each]
        self.last[segment], self.texts[segment] = 0, ""

    def add(self, segment: int, seq: int, text: str) -> None:
        if self.last.get(segment) != seq - 1:
            self.gapped = True
        self.last[segment] = seq
        self.texts[segment] = self.texts.get(segment, "") + text


class Reader:
    """Takes events as they come: `take(kind, data)`."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.stale = 0

    def take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "stale":
            self.stale += 1
            self.runs.clear()
            return
        if kind == "reconnect":
            return
        run = self.runs.setdefault(data["runId"], Run())
        assert run.over is None or kind in ("done", "failure"), f"{kind} after the end of its run"
        if kind == "reset":
            assert data["seq"] == 0
            run.reset(data["segment"])
        elif kind in ("token", "data", "tool_start"):
            run.add(data["segment"], data["seq"], data.get("text", ""))
        if kind in ("data", "tool_start", "tool_end"):
            run.items.append((kind, data["tool"]))
        if kind in ("done", "failure"):
            run.gapped |= not run.last
            run.over = kind
