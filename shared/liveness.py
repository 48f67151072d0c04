"""Keeps accepted work going: a thread of every worker, and of every API process for what needs no worker.

It asks nothing of the broker and nothing of any one process: whatever has died, the next process of its kind that lives
does the round, once per time slot however many try, and every duty is safe to run twice.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from shared import broker, db, deliveries, duties, executions, ledger, metrics, thread_events, workers
from shared.errors import StrataError, Unavailable
from shared.settings import Settings

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1
Duty = Callable[[Connection], object]
#: Counts what is due in a queue of errands.
Backlog = Callable[[Connection], int]


class Liveness:
    """The thread that takes part in the rounds."""

    def __init__(self, rounds: dict[str, Duty], slot: str = "liveness") -> None:
        self._duties = rounds
        self._slot = slot
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="liveness", daemon=True)

    def start(self) -> None:
        """Begin; permits are issued at once, for what was left from before."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the round at hand."""
        self._closing.set()
        self._thread.join(5.0)

    def _go_round(self) -> None:
        _tried("permits", lambda: _in_transaction(self._duties.get("permits", permits)))
        while not self._closing.wait(PERIOD_SECONDS):
            _tried("liveness", self._round)
            _tried("events", thread_events.recover)

    def _round(self) -> None:
        with db.transaction() as connection:
            taken = duties.take(connection, self._slot, period_seconds=PERIOD_SECONDS)
        if taken:
            for name, duty in self._duties.items():
                _tried(name, lambda duty=duty: _in_transaction(duty))  # type: ignore[misc]


def duties_of(settings: Settings, errands: Mapping[str, Backlog] | None = None) -> dict[str, Duty]:
    """The duties of a worker's round by their names, in their order; each has a transaction of its own.

    Errands are those that get permits besides executions, by their queues.
    """
    return {
        "rescue": lambda connection: _rescued(
            executions.rescue(
                connection,
                lease_seconds=settings.lease_seconds,
                max_deaths=settings.max_deaths,
                keep_seconds=settings.result_seconds,
            )
        ),
        "deliveries": _taken_back,
        **duties_without_workers(settings),
        "permits": lambda connection: permits(connection, errands or {}),
        "books": _settled,
    }


def duties_without_workers(settings: Settings) -> dict[str, Duty]:
    """What has to be done where no worker lives, too; what becomes of a dead one's executions the others decide."""
    return {
        "deadlines": lambda connection: _ended_late(
            executions.end_overdue(connection, keep_seconds=settings.result_seconds)
        ),
        "pace": executions.measure_pace,
        "promote": executions.promote,
        "permits": permits,
    }


def permits(connection: Connection, errands: Mapping[str, Backlog] | None = None) -> None:
    """Top the permits up to what is queued or due, and to no more than twice what the live workers can run."""
    slots = workers.slots(connection)
    if not slots:
        return
    backlog = workers.backlog(connection, at_most=2 * max(slots.values()))
    backlog |= {queue: due(connection) for queue, due in (errands or {}).items() if queue in slots}
    for queue, count in slots.items():
        broker.bound(queue, 2 * count)
        if backlog.get(queue):
            broker.permit(queue, min(backlog[queue], 2 * count))


def _in_transaction(duty: Duty) -> None:
    with db.transaction() as connection:
        duty(connection)


def _rescued(counts: dict[str, int]) -> None:
    if counts:
        logger.warning("executions rescued", extra=dict(counts))
        db.after_commit(metrics.rescued, counts)
        db.after_commit(metrics.failed, "worker_lost", counts.get("failed", 0))


def _taken_back(connection: Connection) -> None:
    if count := deliveries.take_back(connection):
        logger.warning("deliveries taken from senders that are gone", extra={"deliveries": count})


def _settled(connection: Connection) -> None:
    if count := ledger.settle(connection):
        logger.warning("calls booked as uncertain", extra={"calls": count})
        db.after_commit(metrics.cut, count)


def _ended_late(counts: dict[str, int]) -> None:
    if counts:
        logger.warning("deadlines over", extra=dict(counts))
        db.after_commit(metrics.failed, "deadline", counts["failed"])


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
