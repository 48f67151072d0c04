"""Fails an execution from outside when a layer of it does not come back: calls are cut at their time, code cannot be.

The thread that hangs is left to itself. What it brings later is refused, and for as long as it has not come back it is
known here, so that the process can be started anew.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from shared import log, metrics
from shared.errors import Fenced
from shared.plan import Layer, Result
from worker.alarms import Alarms
from worker.running import Run

logger = logging.getLogger(__name__)

#: Seconds that a layer gets beyond its `timeout_seconds` to notice by itself that its time is over.
GRACE_SECONDS = 5.0


class Overtime:
    """The layers of this process that run longer than they may."""

    def __init__(self, alarms: Alarms, fail: Callable[[Run, Result], None]) -> None:
        self._alarms = alarms
        self._fail = fail
        self._hung: dict[_Watch, float] = {}
        self._lock = threading.Lock()

    def watched(self, run: Run, layer: Layer) -> AbstractContextManager[None]:
        """Bound the block by the layer's time; Fenced at its end where its execution has been ended meanwhile."""
        return _Watch(self, self._alarms, run, layer)

    def seconds(self) -> float:
        """How long the longest has been hanging since its execution was ended; 0 where none hangs."""
        with self._lock:
            begun = min(self._hung.values(), default=None)
        return 0.0 if begun is None else time.monotonic() - begun

    def begin(self, watch: "_Watch") -> None:
        """Have the execution of a layer ended whose time is over, unless the layer is back."""
        with self._lock:
            if watch.back:
                return
            self._hung[watch] = time.monotonic()
        watch.run.abandon()
        # An alarm must not wait for Postgres.
        threading.Thread(target=self._end, args=(watch,), name="overtime", daemon=True).start()

    def _end(self, watch: "_Watch") -> None:
        claim, layer = watch.run.claim, watch.layer
        with log.context(execution=str(claim.uuid), attempt=claim.attempt):
            logger.error("layer hangs", extra={"layer": layer.path})
            metrics.layer(layer.kind, passed=False, seconds=watch.seconds)
            text = f"the layer was still running {GRACE_SECONDS:g} s after its time of {layer.timeout_seconds:g} s"
            try:
                result = Result(layer.path, passed=False, seconds=watch.seconds, error=text, reason="layer_timeout")
                self._fail(watch.run, result)
            except Fenced:
                logger.warning("claim lost")
            except Exception:
                # Nobody else would hear of it; the deadline of the execution still stands.
                logger.exception("execution not ended")

    def come_back(self, watch: "_Watch") -> None:
        """Know that a layer is back; Fenced where its execution was ended meanwhile."""
        with self._lock:
            watch.back = True
            hung = self._hung.pop(watch, None) is not None
        if hung:
            logger.warning("hung layer came back", extra={"layer": watch.layer.path})
        watch.run.check_kept()


class _Watch:
    """One layer at work on one thread. A class: there are three an execution, and a generator costs more."""

    def __init__(self, overtime: Overtime, alarms: Alarms, run: Run, layer: Layer) -> None:
        self._overtime = overtime
        self._alarms = alarms
        self.run = run
        self.layer = layer
        self.seconds = layer.timeout_seconds + GRACE_SECONDS
        self.back = False

    def __enter__(self) -> None:
        self._alarm = self._alarms.after(self.seconds, self._ring)

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        self._overtime.come_back(self)

    def _ring(self) -> None:
        self._overtime.begin(self)
