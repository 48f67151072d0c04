"""Errands: what workers do besides executions, each kind from a queue of its own, by the same permits.

The row of an errand says everything: whether it is due, who has it, and for how long. A permit only says that there is
something to look for.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from sqlalchemy import Connection

from shared.errors import Unavailable

logger = logging.getLogger(__name__)

#: Where executions run too, errands of one kind have this part of the slots at most.
_PART = 4
#: How long those at work get when the process closes, in seconds.
_CLOSING_SECONDS = 5.0


class Errand(Protocol):
    """One kind of errand."""

    #: From where its permits come.
    queue: str
    #: How many of them a worker process does at once, at most.
    concurrency: int

    def one(self) -> bool:
        """Claim one that is due and do it; False where none is. Unavailable where Postgres is away."""

    def backlog(self, connection: Connection) -> int:
        """How many are due, counted no further than is of use."""

    def close(self) -> None:
        """Begin nothing more, and let what is at work come to its end soon."""


class Errands:
    """The errands of one process, each kind within its bound; `alone` where it runs no executions."""

    def __init__(self, kinds: Iterable[Errand], *, slots: int, alone: bool = False) -> None:
        self.kinds = {each.queue: each for each in kinds}
        self._most = slots if alone else max(1, slots // _PART)
        self._working = dict.fromkeys(self.kinds, 0)
        self._changed = threading.Condition()

    @property
    def backlogs(self) -> dict[str, Callable[[Connection], int]]:
        """What counts what is due, by queue."""
        return {queue: errand.backlog for queue, errand in self.kinds.items()}

    def work(self, queue: str | None, *, seconds: float, draining: threading.Event) -> bool:
        """Do what is due in a queue, one after the other; True where there may be more after this time."""
        errand = self.kinds[queue or ""]
        if not self._entered(errand):
            # Those who are at it go on as long as there is something.
            return False
        try:
            until = time.monotonic() + seconds
            while not draining.is_set():
                if not errand.one():
                    return False
                if time.monotonic() >= until:
                    return True
        except Unavailable:
            logger.warning("no errand, Postgres is away", extra={"queue": queue})
        finally:
            self._left(errand)
        return False

    def busy(self) -> int:
        """How many slots of the process errands have now."""
        with self._changed:
            return sum(self._working.values())

    def close(self) -> None:
        """Wait a moment for those at work; what takes longer is taken up by others once its lease is over."""
        for errand in self.kinds.values():
            errand.close()
        with self._changed:
            if not self._changed.wait_for(lambda: not sum(self._working.values()), _CLOSING_SECONDS):
                logger.warning("errands left", extra={"errands": sum(self._working.values())})

    def _entered(self, errand: Errand) -> bool:
        with self._changed:
            if self._working[errand.queue] >= min(errand.concurrency, self._most):
                return False
            self._working[errand.queue] += 1
            return True

    def _left(self, errand: Errand) -> None:
        with self._changed:
            self._working[errand.queue] -= 1
            self._changed.notify_all()
