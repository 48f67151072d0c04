"""Has parked executions come back before their time, in a thread: nobody who asks for a place waits for it."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence

from shared.errors import StrataError

logger = logging.getLogger(__name__)

#: Who is called may be on the way to where it is parked: it is called again for so long, so often, in seconds.
PATIENCE_SECONDS = 5.0
AGAIN_SECONDS = 0.5

#: Has executions come back now, by their uuids; returns those that were parked.
Recall = Callable[[Sequence[str]], Collection[str]]


class Recalls:
    """The thread that calls."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall
        self._called: queue.SimpleQueue[Sequence[str] | None] = queue.SimpleQueue()
        self._until: dict[str, float] = {}
        self._thread = threading.Thread(target=self._go_on, name="recalls", daemon=True)
        self._thread.start()

    def call(self, uuids: Sequence[str]) -> None:
        """Have executions come back; returns at once."""
        if uuids:
            self._called.put(uuids)

    def close(self) -> None:
        """Call nobody any more."""
        self._called.put(None)
        self._thread.join(1.0)

    def _go_on(self) -> None:
        while True:
            try:
                uuids = self._called.get(timeout=AGAIN_SECONDS if self._until else None)
            except queue.Empty:
                uuids = ()
            if uuids is None:
                return
            now = time.monotonic()
            self._until.update(dict.fromkeys(uuids, now + PATIENCE_SECONDS))
            self._until = {uuid: until for uuid, until in self._until.items() if until > now}
            self._call_all()

    def _call_all(self) -> None:
        if not self._until:
            return
        try:
            found = self._recall(list(self._until))
        except StrataError as error:
            # Their time comes all the same.
            logger.warning("nobody recalled", extra={"cause": type(error).__name__})
            return
        for uuid in found:
            self._until.pop(uuid, None)
