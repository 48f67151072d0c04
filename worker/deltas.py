"""What a model says while it says it: deltas, told as events of the execution and on its thread, written down nowhere.

The events of an execution share one stream of bounded length. The first delta leaves at once, the next ones at least
`PAUSE_SECONDS` apart, and the pause doubles as their number grows: an hour of answers is a few hundred deltas, and
pushes nothing else out. A thread has a log and a pace of its own.
"""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from shared import events, redaction, strict_json
from worker.alarms import Alarm, Alarms
from worker.conversation import Conversation

#: The shortest pause between two deltas of a call, in seconds, and after how many of an execution it doubles.
PAUSE_SECONDS = 0.02
DOUBLED_EVERY = 64
#: Beyond so many characters of an answer nothing more of it is told: Redis is no place for it.
MOST_CHARACTERS = 1 << 18


class Telling:
    """What was told of an execution's answers in one attempt; its `conversation` is where it is on a thread."""

    def __init__(self, uuid: UUID, attempt: int, conversation: Conversation | None = None) -> None:
        self.conversation = conversation
        #: What takes the values of variables out of everything that is told.
        self.redactor = redaction.NOTHING
        self._uuid = uuid
        self._attempt = attempt
        self._count = 0
        self._calls: dict[str, int] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()

    @property
    def pause_seconds(self) -> float:
        """How long a call waits between two deltas from now on."""
        return PAUSE_SECONDS * 2.0 ** (self._count // DOUBLED_EVERY)

    def begin(self, path: str) -> int:
        """The number of a layer's next call; what was told of the one before is void."""
        self.discard(path)
        with self._lock:
            self._calls[path] = number = self._calls.get(path, 0) + 1
        if self.conversation is not None:
            self.conversation.open(path)
        return number

    def tell(self, path: str, offset: int, text: str) -> None:
        """Tell a piece of a layer's answer that begins after so many characters of it."""
        text = text[: max(0, MOST_CHARACTERS - offset)]
        if not text:
            return
        with self._lock:
            self._count += 1
            self._told.add(path)
        events.delta(self._uuid, self._attempt, path, self._calls[path], offset, text)

    def discard(self, path: str) -> None:
        """Tell that a layer's answer begins anew, if anything of it was told."""
        with self._lock:
            void = path in self._told
            self._told.discard(path)
        if void:
            events.delta_reset(self._uuid, self._attempt, path, self._calls[path])


class Deltas:
    """The deltas of one call; `add` never blocks, and what it holds back leaves by an alarm."""

    def __init__(self, telling: Telling, path: str, alarms: Alarms) -> None:
        self._telling = telling
        self._path = path
        self._hiding = telling.redactor.stream()
        self._outlets = [_Outlet(self._tell, lambda: telling.pause_seconds, alarms)]
        if (thread := telling.conversation) is not None:
            self._outlets.append(
                _Outlet(lambda _, text: thread.say(path, text), lambda: thread.pause_seconds, alarms),
            )
        telling.begin(path)

    def add(self, text: str) -> None:
        """Tell a piece now, or together with what follows it within the pause."""
        self._leave(self._hiding.add(strict_json.clean(text)))

    def end(self) -> None:
        """Tell what is left of an answer that is whole."""
        self._leave(self._hiding.rest())
        for outlet in self._outlets:
            outlet.close(tells=True)

    def discard(self) -> None:
        """Tell that the answer broke off, and that what was told of it is void."""
        for outlet in self._outlets:
            outlet.close(tells=False)
        self._telling.discard(self._path)

    def _leave(self, text: str) -> None:
        for outlet in self._outlets:
            outlet.add(text)

    def _tell(self, offset: int, text: str) -> None:
        self._telling.tell(self._path, offset, text)


class _Outlet:
    """Where the pieces of one answer leave at a pace of their own."""

    def __init__(self, tell: Callable[[int, str], None], pause: Callable[[], float], alarms: Alarms) -> None:
        self._tells = tell
        self._pause = pause
        self._alarms = alarms
        self._held = ""
        self._offset = 0
        self._due = 0.0
        self._alarm: Alarm | None = None
        self._over = False
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        with self._lock:
            self._held += text
            if self._alarm is None and not self._over:
                left = self._due - time.monotonic()
                if left <= 0:
                    self._tell()
                else:
                    self._alarm = self._alarms.after(left, self._ring)

    def close(self, *, tells: bool) -> None:
        with self._lock:
            self._over = True
            if self._alarm is not None:
                self._alarm.cancel()
            if tells:
                self._tell()

    def _ring(self) -> None:
        with self._lock:
            self._alarm = None
            if not self._over:
                self._tell()

    def _tell(self) -> None:
        text, self._held = self._held, ""
        if text:
            self._tells(self._offset, text)
            self._offset += len(text)
            self._due = time.monotonic() + self._pause()
