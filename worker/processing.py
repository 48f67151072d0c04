"""Documents on their way to be searched: taken one by one, read in a process of their own, written with their chunks.

A worker that dies leaves a lease that runs out, and another one begins anew; three deaths are the document's own fault.
"""

import logging
import subprocess
import threading
import time
from array import array
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from shared import db, intake, knowledge, passages
from shared.errors import Stopped, Unavailable
from shared.intake import Taken
from worker.documents import reading
from worker.documents.blocks import Unreadable
from worker.documents.reading import Reading
from worker.providers.faults import ProviderFault
from worker.providers.retries import Postponed
from worker.vectors import DocumentVectors

logger = logging.getLogger(__name__)

#: Longer than any process reads and writes, and than the vectors of a batch are waited for.
LEASE_SECONDS = 180.0
_MOST_COUNTED = 1000
#: Between two tries to reach Postgres, in seconds.
_AGAIN_SECONDS = 1.0
T = TypeVar("T")


class Processing:
    """The errand of reading documents; safe to be called from many threads."""

    queue = knowledge.QUEUE
    #: Each has a process of its own, which may want a whole processor.
    concurrency = 2

    def __init__(self, vectors: DocumentVectors) -> None:
        self._vectors = vectors
        self._reading: set[subprocess.Popen[bytes]] = set()
        self._closing = threading.Event()

    def one(self) -> bool:
        """Process the document that has been due for longest; False where none is due. Unavailable without Postgres."""
        if self._closing.is_set():
            return False
        with db.transaction() as connection:
            taken = intake.take(connection, lease_seconds=LEASE_SECONDS)
        if taken is None:
            return False
        started = time.monotonic()
        status = self._processed(taken)
        seconds = round(time.monotonic() - started, 3)
        logger.info("document %s", status, extra={"document": str(taken.uuid), "seconds": seconds})
        return True

    def backlog(self, connection: Connection) -> int:
        """How many documents are due, counted up to a bound."""
        return intake.backlog(connection, at_most=_MOST_COUNTED)

    def close(self) -> None:
        """Take nothing more, and give back what is being read."""
        self._closing.set()
        self._vectors.close()
        for each in list(self._reading):
            each.kill()

    def _processed(self, taken: Taken) -> str:
        """Bring a document to its end, or to where it must wait; returns what has become of it."""
        if taken.deaths >= intake.MOST_DEATHS:
            return self._failed(taken, f"{taken.deaths} workers have died while they read it")
        try:
            found = self._read(taken)
            vectors = self._vectors_of(found, taken)
        except Unreadable as error:
            return self._failed(taken, str(error))
        except Stopped:
            return self._put_back(taken, pause_seconds=0)
        except Postponed as postponed:
            return self._put_off(taken, postponed.fault)
        except ProviderFault as fault:
            return self._put_off(taken, fault)

        def write(connection: Connection) -> bool:
            model = self._vectors.model
            return intake.end_ready(connection, taken, found.chunks, found.text, vectors=vectors, model=model)

        return "ready" if self._insist(write) else "lost"

    def _read(self, taken: Taken) -> Reading:
        begun: list[subprocess.Popen[bytes]] = []

        def began(process: subprocess.Popen[bytes]) -> None:
            begun.append(process)
            self._reading.add(process)
            if self._closing.is_set():
                process.kill()

        try:
            return reading.read(taken.mime_type, taken.body, began=began)
        except Unreadable as error:
            # One that was killed here says nothing about what it read.
            if self._closing.is_set():
                raise Stopped("drain") from error
            raise
        finally:
            self._reading.difference_update(begun)

    def _vectors_of(self, found: Reading, taken: Taken) -> list["array[float]"]:
        if self._vectors.model is None or not self._insist(passages.has_vectors):
            return []

        def go_on() -> bool:
            return self._insist(lambda connection: intake.renew(connection, taken, lease_seconds=LEASE_SECONDS))

        return self._vectors.of(found.chunks, taken.organization_id, go_on=go_on)

    def _failed(self, taken: Taken, error: str) -> str:
        written = self._insist(lambda connection: intake.end_failed(connection, taken, error))
        return "failed" if written else "lost"

    def _put_back(self, taken: Taken, *, pause_seconds: float | None = None) -> str:
        self._insist(lambda connection: intake.put_back(connection, taken, pause_seconds=pause_seconds))
        return "put back"

    def _put_off(self, taken: Taken, fault: ProviderFault) -> str:
        """Have it tried again later, a number of times."""
        logger.warning("no vectors", extra={"document": str(taken.uuid), "reason": fault.reason})
        if taken.attempt < intake.MOST_ATTEMPTS:
            return self._put_back(taken)
        return self._failed(taken, f"there are no vectors to be had for it: {fault.reason}: {fault}")

    def _insist(self, write: Callable[[Connection], T]) -> T:
        """Write, again while Postgres is away: a document is not to blame for that."""
        until = time.monotonic() + LEASE_SECONDS
        while True:
            try:
                with db.transaction() as connection:
                    return write(connection)
            except Unavailable:
                if time.monotonic() >= until or self._closing.wait(_AGAIN_SECONDS):
                    raise
