"""What is said on a thread while it is said: a short-lived log in Redis for each thread, and a ring with every event.

Every answer is a run of its own, in segments whose events are numbered. An answer that is tried again begins its
segment anew with a reset. Whatever cannot be told is made up for by `stale`, so that a reader either has every word or
knows that it has not: each event says behind which one it comes, and what never reached Redis is remembered. An attempt
that is over tells nothing any more, and nothing comes after an end.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis

from shared import broker, thread_scripts

#: How long a log is kept after its last event, in seconds, and about how many events it holds.
LOG_SECONDS = 600
LENGTH = 10_000
#: The longest message of a failure, in characters.
MOST_OF_MESSAGE = 1000
#: How long it is remembered how far an execution has told, after its last event, in seconds.
STATE_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class Place:
    """An execution on a thread of an organization; without a channel it is on `default`."""

    organization_id: int
    thread: UUID
    execution: UUID
    channel: str = "default"


class _Script:
    """A script to be run, for a log that is told so where it never was."""

    __slots__ = ("_again", "_keys", "_words")

    def __init__(self, script: str, keys: tuple[str, ...], *arguments: Any, again: bool = False) -> None:
        self._keys = keys
        self._words = ("EVAL", script, len(keys), *keys, LENGTH, LOG_SECONDS, *arguments)
        self._again = again

    def send(self) -> None:
        """Send it as a hint."""
        broker.courier().send(*self._words, lost=self._lost)

    def _lost(self) -> None:
        """Remember for which log it was; an end is told again."""
        _shed[self._keys] = self if self._again else _shed.get(self._keys)


#: What never reached Redis: the keys, and the end that was to be told.
_shed: dict[tuple[str, ...], _Script | None] = {}


def log(organization_id: int, thread: UUID) -> str:
    """The log of a thread, and the channel on which each of its events is rung."""
    return f"strata:thread:{organization_id}:{thread}"


def tell(
    place: Place, attempt: int, kind: str, run: UUID, channel: str, *, behind: str = "", at: str = "", **fields: Any
) -> None:
    """Add an event of a run that a live attempt tells; never blocks, never fails.

    `behind` is the place of the event of this run that was told before, `at` its own.
    """
    body = _body(place, run, channel, **fields)
    _Script(thread_scripts.TELL, _keys(place), STATE_SECONDS, attempt, str(run), behind, kind, body, channel, at).send()


def check(place: Place, attempt: int, run: UUID, channel: str, *, behind: str = "", text: str | None = None) -> None:
    """See to it that nothing of an answer is missing, before it is `done`: else its text is told anew, or as lost."""
    anew: list[str] = []
    if text is not None:
        anew = ["reset", _body(place, run, channel, segment=0, seq=0)]
        anew += ["token", _body(place, run, channel, segment=0, seq=1, text=text)]
    _Script(thread_scripts.CHECK, _keys(place), STATE_SECONDS, attempt, str(run), behind, *anew).send()


def ended(place: Place, status: str, reason: str | None, message: str | None) -> None:
    """Tell the end of an execution, and with it of whatever it was still saying; a second time is as good as once."""
    more: dict[str, Any] = {}
    if status != "succeeded":
        more = {"code": reason or status, "message": (message or reason or status)[:MOST_OF_MESSAGE]}
    kind, tail = ("failure" if more else "done"), _text(more)[1:]
    tail = f",{tail}" if more else tail
    _Script(thread_scripts.END, _keys(place), 0, kind, tail, str(place.execution), place.channel, again=True).send()


def lose(place: Place) -> None:
    """Tell that something is not told."""
    _Script(thread_scripts.STALE, _keys(place)).send()


def forget(organization_id: int, thread: UUID) -> None:
    """Delete the log of a thread; a hint, as everything here: what stays is forgotten in its time."""
    key = log(organization_id, thread)
    broker.courier().send("DEL", key, _size(key))


def recover() -> None:
    """Tell of what never reached Redis that it was lost, and the ends among it; to be called now and then."""
    for _ in range(len(_shed)):
        keys, end = _shed.popitem()
        _Script(thread_scripts.STALE, keys).send()
        if end is not None:
            end.send()


def begins(client: "redis.Redis", key: str) -> bool:
    """True where a log has its very first event, or nothing was ever told on it."""
    first: Any = client.xrange(key, count=1)
    return not first or int(first[0][1].get(b"before", 0)) == 0


def _keys(place: Place) -> tuple[str, str, str]:
    key = log(place.organization_id, place.thread)
    return key, f"strata:told:{place.execution}", _size(key)


def _size(key: str) -> str:
    return f"{key}:size"


def _body(place: Place, run: UUID, channel: str, **fields: Any) -> str:
    return _text({"runId": str(run), "channel": channel, "execution": str(place.execution), **fields})


def _text(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))
