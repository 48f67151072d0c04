"""Sends nothing with a key that its provider does not take, or that has no money left, until a while has passed.

What one process has seen is its own: each finds out with one call a minute.
"""

import threading
import time
from dataclasses import dataclass

from worker.providers.faults import ProviderFault

#: How long a key is left alone before one call tries it again, in seconds.
PAUSE_SECONDS = 60.0


@dataclass(slots=True)
class _Pause:
    fault: ProviderFault
    until: float


class Pauses:
    """The keys that are left alone, by the id of their credential."""

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}
        self._lock = threading.Lock()

    def check(self, credential_id: str) -> None:
        """Raise the fault that a key is left alone for; one call is let through when its time is over."""
        with self._lock:
            pause = self._pauses.get(credential_id)
            if pause is None:
                return
            now = time.monotonic()
            if now < pause.until:
                raise ProviderFault(pause.fault.reason, str(pause.fault), retryable=False)
            # Whoever comes next waits for what this one finds out.
            pause.until = now + PAUSE_SECONDS

    def begin(self, credential_id: str, fault: ProviderFault) -> None:
        """Leave a key alone for a while."""
        with self._lock:
            self._pauses[credential_id] = _Pause(fault, time.monotonic() + PAUSE_SECONDS)

    def end(self, credential_id: str) -> None:
        """The key is good again."""
        if credential_id in self._pauses:
            with self._lock:
                self._pauses.pop(credential_id, None)
