"""What this process is running now: stop one execution, or all of them."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from shared import redaction
from shared.errors import Fenced, Stopped
from shared.executions import Claim
from shared.redaction import Redactor
from worker.books import Books
from worker.calls import Call
from worker.conversation import Conversation
from worker.deltas import Telling


class Run:
    """One claimed execution in this process. Its first cause to stop stands, and closes the calls in flight."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.books = Books(claim, self.check)
        self.entered_at = time.monotonic()
        self.deadline_at = self.entered_at + claim.seconds_left
        self.stopping = threading.Event()
        self.abandoned = False
        place = claim.place
        conversation = Conversation(place, claim.attempt) if place is not None else None
        self.telling = Telling(claim.uuid, claim.attempt, conversation)
        #: The values of its variables by name, and what takes them out of everything that is told.
        self.variables: Mapping[str, str] = {}
        self.redactor = redaction.NOTHING
        self._cause: str | None = None
        self._calls: set[Call] = set()
        self._lock = threading.Lock()

    def reveal(self, variables: Mapping[str, str]) -> None:
        """Know the values of its variables; before anything of it is told."""
        self.variables = variables
        self.redactor = self.telling.redactor = Redactor(variables) if variables else redaction.NOTHING

    def hide(self, text: str) -> str:
        """A text without the values of its variables."""
        return self.redactor.text(text)

    def stop(self, cause: str) -> None:
        """Stop at once: `cancelled`, `deadline`, `drain`, `lost` or `overtime`."""
        with self._lock:
            if self._cause is not None:
                return
            self._cause = cause
            calls = list(self._calls)
        self.stopping.set()
        for call in calls:
            call.cut(cause)

    @property
    def cause(self) -> str | None:
        """Why it is to stop, if it is."""
        return self._cause

    def abandon(self) -> None:
        """Stop, and wait for no thread of it any more: its end is written by somebody else."""
        self.abandoned = True
        self.stop("overtime")

    def check_kept(self) -> None:
        """Raise Fenced if this run was abandoned."""
        if self.abandoned:
            raise Fenced("the execution was ended while a layer of it hung")

    def check(self) -> None:
        """Raise Stopped if this run is to stop."""
        if self._cause is not None:
            raise Stopped(self._cause)

    def call(self) -> "InFlight":
        """A block with a call that is cut when this run stops; Stopped where it is to stop already."""
        return InFlight(self._calls, self._lock, self.check)


class InFlight:
    """A block with a call that is known to its run meanwhile."""

    def __init__(self, calls: set[Call], lock: threading.Lock, check: Callable[[], None]) -> None:
        self._calls = calls
        self._lock = lock
        self._check = check
        self._call = Call()

    def __enter__(self) -> Call:
        with self._lock:
            self._check()
            self._calls.add(self._call)
        return self._call

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._calls.discard(self._call)


class Running:
    """Every run of this process."""

    def __init__(self) -> None:
        self.draining = threading.Event()
        self._runs: dict[int, Run] = {}
        self._lock = threading.Lock()

    @contextmanager
    def entered(self, claim: Claim) -> Iterator[Run]:
        """Know a claim as running here during the block."""
        run = Run(claim)
        with self._lock:
            self._runs[claim.id] = run
        try:
            yield run
        finally:
            with self._lock:
                if self._runs.get(claim.id) is run:
                    del self._runs[claim.id]

    def all(self) -> dict[int, Run]:
        """The runs of this moment, by execution id."""
        with self._lock:
            return dict(self._runs)

    def cancel(self, uuid: UUID) -> None:
        """Stop the run of an execution, if it is here."""
        for run in self.all().values():
            if run.claim.uuid == uuid:
                run.stop("cancelled")

    def stop_all(self, cause: str) -> None:
        """Stop every run."""
        for run in self.all().values():
            run.stop(cause)
