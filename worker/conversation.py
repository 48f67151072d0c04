"""What is told of one attempt to those who follow the thread: every model's answer, as a run in segments.

The answer that the execution itself gives speaks in the execution's name: that of the last layer of its output, where
this is a prompt. Every other one has a name of its own, made of the execution's and the layer's. A round of a layer's
tools is a segment of its run; a question that is asked again begins its segment anew.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from shared import rendering, thread_events
from shared.plan import Layer, Plan, Result
from shared.thread_events import Place

#: Beyond so many characters of a segment nothing more of it is told, and that is told.
MOST_CHARACTERS = 1 << 20
#: The shortest pause between two pieces of an answer, in seconds, and after how many of an attempt it doubles.
PAUSE_SECONDS = 0.02
DOUBLED_EVERY = 1500
_ROUND = "/rounds["


class _Run:
    """One answer, and how far it is told: the texts of the segments that this attempt has told."""

    def __init__(self, name: UUID, channel: str) -> None:
        self.name = name
        self.channel = channel
        self.texts: dict[int, list[str]] = {}
        self.segment = 0
        self.seq = 0
        self.size = 0

    @property
    def at(self) -> str:
        """The place of its last event, nothing before its first."""
        return f"{self.segment}:{self.seq}" if self.texts else ""

    def gives(self, output: Any) -> bool:
        """True where what was told is the output, or ends with JSON that gives it."""
        if not self.texts:
            return False
        if isinstance(output, str):
            told = "".join(text for segment in sorted(self.texts) for text in self.texts[segment])
            # Where an earlier attempt has told the first segments, this one knows no more than the rest.
            return output.endswith(told) if min(self.texts) > 0 else output == told
        try:
            return bool(json.loads("".join(self.texts[max(self.texts)])) == output)
        except (ValueError, RecursionError):
            return False


class Conversation:
    """What one attempt tells on the thread of its execution; safe to use from many threads."""

    def __init__(self, place: Place, attempt: int) -> None:
        self._place = place
        self._attempt = attempt
        self._answering: Layer | None = None
        self._answers = False
        self._runs: dict[str, _Run] = {}
        self._count = 0
        self._lock = threading.RLock()

    @property
    def pause_seconds(self) -> float:
        """How long an answer that comes in pieces waits between two of them from now on."""
        return PAUSE_SECONDS * 2.0 ** (self._count // DOUBLED_EVERY)

    def prepare(self, plan: Plan) -> None:
        """Know which layer gives the execution's answer, if any does."""
        output = plan.property(plan.output) if plan.output is not None else None
        self._answers = output is not None
        if output is not None and output.layers[-1].kind == "prompt":
            self._answering = output.layers[-1]

    def begin(self, layer: Layer) -> None:
        """Know a layer that will ask a model; what a tool of another one asks is that tool's own affair."""
        with self._lock:
            if _ROUND in layer.path and any(layer.path.startswith(f"{path}{_ROUND}") for path in self._runs):
                return
            mine = self._answering is not None and layer.path == self._answering.path
            name = self._place.execution if mine else uuid5(self._place.execution, layer.path)
            self._runs[layer.path] = _Run(name, layer.settings.get("channel") or self._place.channel)

    def open(self, path: str) -> None:
        """Tell that a model is asked: what was told of its answer before is void."""
        run, segment, inside = self._found(path)
        if run is not None and not inside:
            with self._lock:
                self._reset(run, segment)

    def say(self, path: str, text: str) -> None:
        """Tell a piece of the answer that was opened last."""
        run, _, inside = self._found(path)
        if run is not None and run.texts and not inside:
            with self._lock:
                self._say(run, text)

    def say_whole(self, path: str, text: str) -> None:
        """Tell an answer that came whole."""
        with self._lock:
            self.open(path)
            self.say(path, text)

    def note(self, path: str, kind: str, fields: Mapping[str, Any]) -> None:
        """Tell `tool_start`, `tool_end` or `data` of a tool that an answer has asked for."""
        run, _, _ = self._found(path)
        if run is None:
            return
        with self._lock:
            if kind == "tool_end":
                self._tell(run, kind, **fields)
            elif run.texts:
                self._next(run, kind, **fields)
            elif kind == "data":
                # Its answer was told by an attempt that is over, and nobody knows how far.
                thread_events.lose(self._place)

    def end(self, result: Result) -> None:
        """Tell the end of a layer's answer; that of the execution's own comes with the execution's end."""
        with self._lock:
            run = self._runs.get(result.path)
            if run is None or run.name == self._place.execution:
                return
            del self._runs[result.path]
            if run.texts and result.passed:
                self._tell(run, "done", behind=run.at)
            elif run.texts:
                message = str(result.error)[: thread_events.MOST_OF_MESSAGE]
                self._tell(run, "failure", code=result.reason, message=message)

    def settle(self, output: Any) -> None:
        """See to it that who has followed the execution's answer has its output, word for word, before its end.

        An answer with tools is more than its text: what is not told of that can only be told as lost.
        """
        layer = self._answering
        text = None
        with self._lock:
            if layer is not None and layer.path not in self._runs:
                self.begin(layer)
            run = self._runs[layer.path] if layer is not None else _Run(self._place.execution, self._place.channel)
            if self._answers and layer is not None and layer.settings.get("tools"):
                if not run.gives(output):
                    thread_events.lose(self._place)
            elif self._answers:
                if not run.gives(output):
                    self._reset(run, 0)
                    self._say(run, rendering.as_text(output))
                text = "".join(run.texts[0]) if run.size <= MOST_CHARACTERS else None
            thread_events.check(self._place, self._attempt, run.name, run.channel, behind=run.at, text=text)

    def _found(self, path: str) -> tuple[_Run | None, int, bool]:
        """The run of a layer or of a piece of its work, the segment of that, and whether it is inside of a round."""
        if path in self._runs:
            return self._runs[path], 0, False
        layer, _, rest = path.rpartition(_ROUND)
        number, _, inside = rest.partition("]")
        return self._runs.get(layer), int(number) if number.isdecimal() else 0, bool(inside)

    def _reset(self, run: _Run, segment: int) -> None:
        behind = run.at if segment > run.segment else ""
        run.texts = {number: texts for number, texts in run.texts.items() if number < segment} | {segment: []}
        run.segment, run.seq, run.size = segment, 0, 0
        self._tell(run, "reset", behind=behind, at=run.at, segment=segment, seq=0)

    def _say(self, run: _Run, text: str) -> None:
        if not text or run.size > MOST_CHARACTERS:
            return
        run.texts[run.segment].append(text)
        run.size += len(text)
        if run.size > MOST_CHARACTERS:
            thread_events.lose(self._place)
        else:
            self._next(run, "token", text=text)

    def _next(self, run: _Run, kind: str, **fields: Any) -> None:
        behind = run.at
        run.seq += 1
        self._count += 1
        self._tell(run, kind, behind=behind, at=run.at, segment=run.segment, seq=run.seq, **fields)

    def _tell(self, run: _Run, kind: str, **fields: Any) -> None:
        thread_events.tell(self._place, self._attempt, kind, run.name, run.channel, **fields)
