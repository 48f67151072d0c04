"""The periodic duties; each runs once per time slot, however many processes try, and is safe to run twice.

Liveness (permits, rescue, promotion, deadlines) is a thread of every worker and asks nothing of the broker.
Housekeeping (expiry, tombstones, old workers) comes as tasks from beat.
"""

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Connection

from shared import broker, db, duties, executions, workers
from shared.errors import StrataError, Unavailable
from shared.settings import Settings

logger = logging.getLogger(__name__)

LIVENESS_SECONDS = 1
EXPIRY_SECONDS = 60
HOUR_SECONDS = 3600
#: Batches that one housekeeping task deletes at most, so that it never holds a slot for long.
_BATCHES = 200


class Liveness:
    """The thread that keeps accepted work going."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin; the first round comes at once, for what was left from before."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the round at hand."""
        self._closing.set()
        self._thread.join(5.0)

    def _go_round(self) -> None:
        _tried("permits", lambda: _in_transaction(permits))
        while not self._closing.wait(LIVENESS_SECONDS):
            _tried("liveness", self._round)

    def _round(self) -> None:
        with db.transaction() as connection:
            taken = duties.take(connection, "liveness", period_seconds=LIVENESS_SECONDS)
        if taken:
            for name, duty in self._duties().items():
                _tried(name, lambda duty=duty: _in_transaction(duty))  # type: ignore[misc]

    def _duties(self) -> dict[str, Callable[[Connection], object]]:
        settings = self._settings
        return {
            "rescue": lambda connection: _reported(
                "executions rescued",
                executions.rescue(
                    connection,
                    lease_seconds=settings.lease_seconds,
                    max_deaths=settings.max_deaths,
                    keep_seconds=settings.result_seconds,
                ),
            ),
            "deadlines": lambda connection: _reported(
                "deadlines over", executions.end_overdue(connection, keep_seconds=settings.result_seconds)
            ),
            "promote": executions.promote,
            "permits": permits,
        }


def permits(connection: Connection) -> None:
    """Top the permits up to what is queued, and to no more than twice what the live workers can run."""
    slots = workers.slots(connection)
    if not slots:
        return
    backlog = workers.backlog(connection, at_most=2 * max(slots.values()))
    for queue, count in slots.items():
        broker.bound(queue, 2 * count)
        if backlog.get(queue):
            broker.permit(queue, min(backlog[queue], 2 * count))


def expire() -> int:
    """Delete the content of what has expired, in batches; returns how many executions."""
    return _in_batches("expiry", EXPIRY_SECONDS, executions.erase)


def bury(settings: Settings) -> int:
    """Delete old tombstones, and the rows of workers long gone; returns how many tombstones."""
    buried = _in_batches(
        "tombstones",
        HOUR_SECONDS,
        lambda connection: executions.bury(connection, tombstone_days=settings.tombstone_days),
    )
    _in_transaction(workers.forget)
    return buried


def _in_batches(duty: str, period_seconds: int, delete: Callable[[Connection], int]) -> int:
    with db.transaction() as connection:
        if not duties.take(connection, duty, period_seconds=period_seconds):
            return 0
    total = 0
    for _ in range(_BATCHES):
        with db.transaction() as connection:
            count = delete(connection)
        total += count
        if not count:
            break
    if total:
        logger.info("%s done", duty, extra={"executions": total})
    return total


def _in_transaction(duty: Callable[[Connection], object]) -> None:
    with db.transaction() as connection:
        duty(connection)


def _reported(event: str, counts: dict[str, int]) -> None:
    if counts:
        logger.warning(event, extra=dict(counts))


def _tried(name: str, duty: Callable[[], None]) -> None:
    # One duty that fails must not keep the others from their round.
    try:
        duty()
    except Unavailable:
        logger.warning("duty missed, Postgres is away", extra={"duty": name})
    except StrataError:
        logger.exception("duty failed", extra={"duty": name})
    except Exception:
        logger.exception("duty failed", extra={"duty": name})
