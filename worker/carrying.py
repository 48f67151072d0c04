"""Records that wait a moment for the next call of their execution: both are then written in one statement.

Between two layers that ask models nothing happens but the writing of the second question. The first one's record goes
with the second one's intent: written before anything leaves, as by itself, and for half of the cost.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import StrataError, Unavailable
from shared.ledger import Intent


class Uncarried(StrataError):
    """Postgres is away, and a record still waits: the layer behind it has to, and that is no time of its own."""


class Write(Protocol):
    """Writes a record."""

    def __call__(self, intent: Intent | None = None, *, patient: bool = True) -> None:
        """Write it, with an intent where one is given; where it is not `patient`, Unavailable with Postgres away."""


@dataclass(slots=True)
class _Waiting:
    write: Write
    tells: list[Callable[[], None]] = field(default_factory=list)


class Carried:
    """The records of one run that wait, each for the layer behind it; safe to use from all of the run's threads.

    Whoever is to wait for anything has to have them written first: what is not is paid for again after a crash.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()

    def put(self, path: str, write: Write) -> None:
        """Have a record wait for the layer of a path."""
        with self._lock:
            self._waiting[path] = _Waiting(write)

    def then(self, path: str, tell: Callable[[], None]) -> bool:
        """Call something once the record is written that waits for a layer; False where none does."""
        with self._lock:
            found = self._waiting.get(path)
            if found is not None:
                found.tells.append(tell)
            return found is not None

    def take_along(self, path: str, intent: Intent | None = None) -> bool:
        """Write the record that waits for a layer, with its intent; False where none does.

        Uncarried where that cannot be done now. What else it raises comes from the record.
        """
        try:
            return self._write(path, intent, patient=False)
        except Unavailable as error:
            raise Uncarried from error

    def write(self, path: str) -> None:
        """Write the record that waits for a layer, if one does, however long that takes."""
        self._write(path, None, patient=True)

    def write_all(self) -> None:
        """Write every record that waits."""
        with self._lock:
            paths = list(self._waiting)
        for path in paths:
            self.write(path)

    def _write(self, path: str, intent: Intent | None, *, patient: bool) -> bool:
        with self._lock:
            found = self._waiting.pop(path, None)
        if found is None:
            return False
        try:
            found.write(intent, patient=patient)
        except Exception as error:
            if not isinstance(error, StrataError) or (isinstance(error, Unavailable) and not patient):
                # It is not lost by that.
                with self._lock:
                    self._waiting[path] = found
            raise
        for tell in found.tells:
            tell()
        return True
