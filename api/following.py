"""Follows one execution for one client: what its stream tells, and where that is not enough, what its rows say.

The rows decide. A stream that lacks what they have is not retold but replaced by a snapshot; and where nothing is heard
for two seconds they are looked at, because an event may have been lost, or Redis be away.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api import native, sse
from api.watchers import Watcher, Watchers
from shared import db, events, reports
from shared.clock import rfc3339
from shared.doorbell import LOOK_SECONDS
from shared.errors import Gone, NotFound, Unavailable
from shared.events import Event, position
from shared.executions import ENDED
from shared.report import Report

#: At the latest after so much silence, in seconds, a client gets a comment.
KEEP_ALIVE_SECONDS = 15.0
#: When a client whose connection broke comes back, in milliseconds.
RETRY_MILLISECONDS = 2000
#: How long the subscription may take before the stream is read without it, in seconds.
READY_SECONDS = 0.5
#: How far an event may be behind the row that it tells of before it counts as lost, in seconds.
GRACE_SECONDS = 0.5
#: The ids of the first and the last event: they are in no stream.
FIRST, LAST = "0-0", "ended"


class Following:
    """One client's way through the events of one execution; `last` is the id of the event that it has had."""

    def __init__(self, watchers: Watchers, organization_id: int, report: Report, last: str | None) -> None:
        self._watchers = watchers
        self._organization_id = organization_id
        self._uuid = report.uuid
        self._channel = events.channel(report.uuid)
        self._report_before = report
        self._last = last
        self._told = _Told(report)
        self._doubt: object = None
        self._over = False

    def frames(self, left: Callable[[], bool]) -> Iterator[bytes]:
        """Everything to be sent, until the execution has ended, the process is to end, or the client has `left()`."""
        yield sse.retry(RETRY_MILLISECONDS)
        sent_at = time.monotonic()
        for frame in self._followed():
            silence = time.monotonic() - sent_at
            if frame is None and left():
                return
            if frame is not None or silence >= KEEP_ALIVE_SECONDS - LOOK_SECONDS:
                yield frame or sse.COMMENT
                sent_at = time.monotonic()

    def _followed(self) -> Iterator[bytes | None]:
        """Every event; None at each silence of two seconds."""
        with self._watchers.watching(self._channel) as watcher:
            watcher.ready.wait(READY_SECONDS)
            yield from self._beginning(watcher)
            while not self._over and not self._watchers.closing:
                heard = watcher.wait(GRACE_SECONDS if self._doubt else LOOK_SECONDS)
                if watcher.missed or not heard:
                    yield from self._missed(watcher)
                yield from self._tell(heard)
                if not heard:
                    yield None

    def _beginning(self, watcher: Watcher) -> Iterator[bytes]:
        """What has happened so far and the client does not know, or a snapshot where the stream does not have it."""
        report = self._report_before
        past = self._past(watcher)
        if past is None:
            yield from self._snapshot()
        else:
            if self._last is None:
                self._last = FIRST
                yield _event("accepted", FIRST, self._uuid, report.accepted_at)
            yield from self._tell(past)
        if report.ended:
            yield from self._end()

    def _past(self, watcher: Watcher) -> Sequence[Event] | None:
        """The events after the last one; None where they cannot be had, or lack what the rows have."""
        if self._last not in (None, FIRST):
            return self._watchers.after(self._channel, self._last)
        until = time.monotonic() + GRACE_SECONDS
        while (past := self._watchers.after(self._channel, None)) is not None and not self._told.within(past):
            if (left := until - time.monotonic()) <= 0:
                return None
            watcher.wait(left)
        return past

    def _missed(self, watcher: Watcher) -> Iterator[bytes]:
        """What was not heard, from the stream or from the rows, if there is anything."""
        try:
            with db.autocommit() as connection:
                found = reports.progress(connection, self._uuid)
        except Unavailable:
            return
        missed, watcher.missed = watcher.missed, False
        if found == self._told.progress and not missed:
            return
        later = self._last and self._watchers.after(self._channel, None if self._last == FIRST else self._last)
        yield from self._tell(later or ())
        # The deltas among what was missed are in no row: that all rows are told does not mean that nothing was lost.
        gone = missed and later is None
        if (found == self._told.progress and not gone) or self._over:
            self._doubt = None
        elif later is not None and self._doubt != found:
            # The event may be on its way.
            self._doubt = found
        else:
            self._doubt = None
            yield from self._end() if found is None or found[0] in ENDED else self._snapshot()

    def _tell(self, heard: Iterable[Event]) -> Iterator[bytes]:
        for event in heard:
            if self._over or (self._last is not None and event.position <= position(self._last)):
                continue
            self._last = event.id
            if event.kind == "ended":
                yield from self._end()
            else:
                self._told.add(event)
                yield _event(event.kind, event.id, self._uuid, event.time, **event.fields)

    def _snapshot(self) -> Iterator[bytes]:
        # The stream's end is noted before the rows are read: what lies between may be told twice, but is not lost.
        self._last = self._watchers.newest(self._channel)
        report = self._report()
        if report is None:
            # The next look finds that this was not told.
            self._told.attempt = -1
            return
        self._told = _Told(report)
        yield _event("snapshot", self._last, self._uuid, datetime.now(UTC), report=native.answer(report))
        yield from self._end(report)

    def _end(self, report: Report | None = None) -> Iterator[bytes]:
        report = report or (None if self._over else self._report())
        if report is not None and report.ended and not self._over:
            self._over = True
            told = {"status": report.status, "reason": report.reason, "report": native.answer(report)}
            yield _event("ended", LAST, self._uuid, report.ended_at, **told)

    def _report(self) -> Report | None:
        """The report as it is now; None while Postgres is away, and where there is none any more."""
        try:
            with db.autocommit() as connection:
                return reports.find(connection, self._organization_id, self._uuid)
        except (Gone, NotFound):
            # The client comes back for the rest, and is told that it is gone.
            self._over = True
        except Unavailable:
            pass
        return None


class _Told:
    """How far a client knows an execution to be."""

    def __init__(self, report: Report) -> None:
        layers = (layer for each in report.properties for layer in each.layers)
        self.status = report.status
        self.attempt = report.attempt
        # What another execution has left to this one was recorded by no attempt of its own.
        self.layers = {layer.path for layer in layers if layer.attempt}

    @property
    def progress(self) -> tuple[str, int, int]:
        """What `reports.progress` gives where the client knows everything."""
        return self.status, self.attempt, len(self.layers)

    def within(self, past: Sequence[Event]) -> bool:
        """True where all of it is in these events."""
        attempts = {event.fields["attempt"] for event in past if event.kind == "started"}
        layers = {event.fields["path"] for event in past if event.kind == "layer_ended"}
        return self.layers <= layers and max(attempts, default=0) >= self.attempt

    def add(self, event: Event) -> None:
        """Note what an event has told."""
        if event.kind == "started":
            self.status, self.attempt = "running", event.fields["attempt"]
        elif event.kind == "layer_ended":
            self.layers.add(event.fields["path"])


def _event(kind: str, name: str | None, uuid: UUID, moment: datetime | None, /, **fields: Any) -> bytes:
    return sse.event(kind, name, {"execution": str(uuid), "time": rfc3339(moment), **fields})
