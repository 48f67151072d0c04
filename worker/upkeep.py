"""Housekeeping that comes as tasks from beat: expiry, tombstones, idle threads, the books of days gone by.

Each runs once per time slot, however many beats send it, and is safe to run twice.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from shared import batches, db, deliveries, duties, executions, kept_answers, spending, threads, workers
from shared.settings import Settings

logger = logging.getLogger(__name__)

EXPIRY_SECONDS = 60
HOUR_SECONDS = 3600
#: Batches that one housekeeping task deletes at most, so that it never holds a slot for long.
_BATCHES = 200


def warn(settings: Settings) -> int:
    """Owe webhooks notice of the executions whose results are soon deleted; returns of how many."""
    # What ends while this looks may not be seen yet, and must not be behind the look already.
    ahead = min(settings.expiring_seconds, settings.result_seconds / 2)
    return _in_batches(
        "notice of expiry",
        EXPIRY_SECONDS,
        lambda connection: deliveries.owe_expiring(connection, ahead_seconds=ahead),
    )


def expire() -> int:
    """Delete the content of executions that have expired, and kept answers, in batches; returns how many executions."""
    _in_batches("kept answers", EXPIRY_SECONDS, kept_answers.erase)
    erased = _in_batches("expiry", EXPIRY_SECONDS, executions.erase)
    _in_batches("refused lines", EXPIRY_SECONDS, batches.erase)
    return erased


def bury(settings: Settings) -> int:
    """Delete old tombstones, idle threads, and the rows of workers long gone; returns how many tombstones."""
    buried = _in_batches(
        "tombstones",
        HOUR_SECONDS,
        lambda connection: executions.bury(connection, tombstone_days=settings.tombstone_days),
    )
    _in_batches("batches", HOUR_SECONDS, batches.bury)
    _in_batches("threads", HOUR_SECONDS, lambda connection: threads.forget(connection, days=settings.thread_days))
    _in_batches(
        "deliveries",
        HOUR_SECONDS,
        lambda connection: deliveries.bury(connection, days=settings.tombstone_days),
    )
    with db.transaction() as connection:
        workers.forget(connection)
    return buried


def fold() -> int:
    """Fold the calls of days gone by into sums; returns how many calls."""
    return _in_batches("books", HOUR_SECONDS, spending.fold)


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
        logger.info("%s done", duty, extra={"rows": total})
    return total
