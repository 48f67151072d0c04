"""The Celery application that workers and beat run: `celery -A worker.app worker`, `celery -A worker.app beat`."""

import logging
import os
import sys
from typing import Any

from celery import signals
from celery.worker import state

from shared import broker, garbage, log
from shared.errors import Invalid
from shared.settings import Settings
from worker import upkeep
from worker.ending import Ending
from worker.process import Process

logger = logging.getLogger(__name__)
_process: Process | None = None
_ending: Ending | None = None


def process() -> Process:
    """The worker process that runs this."""
    if _process is None:
        raise RuntimeError("the worker has not started")
    return _process


def _settings(*needs: Any) -> Settings:
    try:
        return Settings.from_environment(os.environ, needs=needs)
    except Invalid as error:
        sys.exit("\n".join(f"{fault.field} {fault.message}" for fault in error.faults))


settings = _settings("broker")
app = broker.celery_app(settings)
app.conf.update(
    imports=("worker.tasks",),
    task_queues=broker.queues(settings.queues),
    worker_pool="threads",
    worker_concurrency=settings.worker_concurrency,
    # Slots in the database say what has been done, so beat has nothing to remember.
    beat_scheduler="celery.beat:Scheduler",
    beat_schedule={
        "warn": {"task": "strata.warn", "schedule": upkeep.EXPIRY_SECONDS},
        "expire": {"task": "strata.expire", "schedule": upkeep.EXPIRY_SECONDS},
        "bury": {"task": "strata.bury", "schedule": upkeep.HOUR_SECONDS},
        "fold": {"task": "strata.fold", "schedule": upkeep.HOUR_SECONDS},
    },
)


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    log.configure(settings.log_level)


@signals.worker_init.connect
def _start(sender: Any, **_: Any) -> None:
    global _process, _ending
    # Celery sets logs up after this, and what is said here would be lost.
    log.configure(settings.log_level)
    needed = _settings("database", "broker", "models")
    if "thread" not in str(sender.pool_cls):
        sys.exit("a worker runs with --pool threads, and no other")
    try:
        _process = Process(needed, app, sender.hostname, restart=_restart)
        _ending = Ending(_process, drain_seconds=needed.drain_seconds)
        _process.start()
        garbage.settle()
    except Exception:
        # Celery would log it and go on, ready to look at and of no use; one that ends is started again.
        logger.exception("worker not started")
        sys.exit(1)


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    if _ending is not None:
        _ending.begin()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    if _ending is not None:
        _ending.finish()


def _restart() -> None:
    if _ending is not None:
        _ending.begin(again=True)
        # What Celery's own handlers of signals do: its loop ends as on TERM.
        state.should_stop = 0
