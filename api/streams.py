"""One client's way through what is said on a thread: from now on, or on from the event that it had last.

What cannot be told without a gap is told as `stale`, and then from as far back as the log of the thread goes. Where an
end does not come, although the rows have it, it is told as they have it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import request

from api import context, sse
from api.watchers import Watchers
from shared import db, reports, stream_tokens, thread_events
from shared.clock import rfc3339
from shared.errors import Unavailable
from shared.events import Event, position
from shared.stream_tokens import Grant

#: At the latest after so much silence, in seconds, a client gets a comment.
KEEP_ALIVE_SECONDS = 15.0
#: When a client whose connection broke comes back, in milliseconds.
RETRY_MILLISECONDS = 1000
#: How long the subscription may take before the client is let in without it, in seconds.
READY_SECONDS = 1.0
#: Between two looks whether the client has left, in seconds, and between two at the rows of what it is being told.
LOOK_SECONDS, ROWS_SECONDS = 2.0, 5.0
#: How long a stream goes on once its token has expired, in seconds: clients fetch another when they come back.
GRACE_SECONDS = 30.0
#: Where a log begins: before its first event.
FIRST = "0-0"
_ENDS = ("done", "failure")


def mint(organization_id: int, thread: UUID) -> dict[str, Any]:
    """A token for the stream of a thread as `token`, `expiresAt` and `url`; Conflict where none can be signed.

    The thread need not be there yet.
    """
    settings = context.this().settings
    token, grant = stream_tokens.mint(
        settings.secret_keys, organization_id, thread, seconds=settings.stream_token_seconds
    )
    base = (settings.public_url or request.host_url).rstrip("/")
    return {"token": token, "expiresAt": rfc3339(grant.expires_at), "url": f"{base}/stream/{thread}"}


class Stream:
    """What one client is told; `last` is the id of the event that it has had, `channels` are those that it wants."""

    def __init__(self, watchers: Watchers, grant: Grant, last: str | None, channels: Iterable[str] = ()) -> None:
        self._watchers = watchers
        self._log = thread_events.log(grant.organization_id, grant.thread)
        self._last = last
        self._channels = frozenset(channels)
        self._until = time.monotonic() + (grant.expires_at - datetime.now(UTC)).total_seconds() + GRACE_SECONDS
        self._open: set[str] = set()
        self._behind = True
        self._looked_at = time.monotonic()

    def frames(self, left: Callable[[], bool]) -> Iterator[bytes]:
        """Everything to be sent, until the token's time or the process is over, or the client has `left()`."""
        with self._watchers.watching(self._log) as watcher:
            late = not watcher.ready.wait(READY_SECONDS)
            begun = list(self._caught_up())
            # The answer begins here: what happens once a client has seen that is told.
            yield sse.retry(RETRY_MILLISECONDS)
            yield from begun
            sent_at = time.monotonic()
            while self._goes_on():
                heard = watcher.wait(max(0.0, min(LOOK_SECONDS, self._until - time.monotonic())))
                if watcher.missed or (late and watcher.ready.is_set()):
                    watcher.missed, late, self._behind = False, False, True
                silent = True
                for frame in self._told(heard):
                    yield frame
                    silent, sent_at = False, time.monotonic()
                if silent and left():
                    return
                if time.monotonic() - sent_at >= KEEP_ALIVE_SECONDS - LOOK_SECONDS:
                    yield sse.COMMENT
                    sent_at = time.monotonic()
            yield sse.event("reconnect", self._last, {})

    def _goes_on(self) -> bool:
        return not self._watchers.closing and time.monotonic() < self._until

    def _told(self, heard: Sequence[Event]) -> Iterator[bytes]:
        """What is to be told after a wait."""
        if self._behind:
            yield from self._caught_up()
        if not self._behind:
            yield from self._tell(heard)
        if not heard and self._open:
            yield from self._looked()

    def _caught_up(self) -> Iterator[bytes]:
        """What the client lacks of the log, once that can be read; where it does not go back so far, all of it."""
        past = self._past()
        if past is None and self._watchers.away:
            return
        self._behind = False
        if past is None:
            self._last = FIRST
            self._open.clear()
            yield sse.event("stale", FIRST, {"kind": "stale"})
            past = self._watchers.after(self._log, None)
            self._behind = past is None
        yield from self._tell(past or ())

    def _past(self) -> Sequence[Event] | None:
        """The events after the last one; None where they cannot be had."""
        if self._last is None:
            # Where Redis is away it is not known what was there before, and better told again than not at all.
            self._last = self._watchers.newest(self._log) or FIRST
            return None if self._watchers.away else ()
        if self._last == FIRST:
            return self._watchers.after(self._log, None) if self._watchers.begins(self._log) else None
        return self._watchers.after(self._log, self._last)

    def _tell(self, events: Iterable[Event]) -> Iterator[bytes]:
        for event in events:
            if event.position <= position(self._last or FIRST):
                continue
            self._last = event.id
            fields = {name: value for name, value in event.fields.items() if name != "execution"}
            if self._channels and fields.get("channel") not in {*self._channels, None}:
                continue
            execution = event.fields.get("execution")
            if event.kind in _ENDS and fields.get("runId") == execution:
                self._open.discard(execution)
            elif execution is not None:
                self._open.add(execution)
            yield sse.event(event.kind, event.id, {"kind": event.kind, **fields})

    def _looked(self) -> Iterator[bytes]:
        """The ends that the rows have and the log has not: a worker may have died before it told of one."""
        if time.monotonic() < self._looked_at + ROWS_SECONDS:
            return
        self._looked_at = time.monotonic()
        yield from self._caught_up()
        try:
            with db.autocommit() as connection:
                ends = reports.ends(connection, [UUID(each) for each in self._open])
        except Unavailable:
            return
        for row in ends:
            self._open.discard(str(row.uuid))
            yield sse.event("stale", None, {"kind": "stale"})
            kind = "done" if row.status == "succeeded" else "failure"
            told = {"kind": kind, "runId": str(row.uuid), "channel": row.channel}
            more = {} if kind == "done" else {"code": row.reason or row.status, "message": row.reason or row.status}
            yield sse.event(kind, None, {**told, **more})
