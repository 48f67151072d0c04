"""What a worker does with a permit from the broker: hands it to a slot, and nothing else.

Celery's own way makes a request, a trace and a context of each message first, on the thread that all of them come by:
for a message that says no more than its queue, that takes longer than the claim behind it.
"""

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery, Task
from celery.worker import state
from celery.worker.consumer import Consumer

logger = logging.getLogger(__name__)


class Permit:
    """A permit in use, as Celery counts and lists it: to Flower a worker is as busy as it has of these."""

    def __init__(self, task: str, message: Any) -> None:
        self.name = task
        self.id = message.headers["id"]
        self.queue = message.delivery_info["routing_key"]
        self._began = time.time()

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """What `inspect active` shows of it, as of any task."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.name,
            "args": [],
            "kwargs": {},
            "delivery_info": {"routing_key": self.queue},
            "time_start": self._began,
            "acknowledged": True,
            "worker_pid": os.getpid(),
        }


def strategy(task: Task, _app: Celery, consumer: Consumer, **_: Any) -> Callable[..., None]:
    """Celery's `Task.Strategy`: what the consumer calls with each message; the task is run with the message's queue."""
    pool, errors = consumer.pool, consumer.connection_errors

    def take(message: Any, _body: Any, ack: Callable[..., None], *_: Any, **__: Any) -> None:
        # Until a slot begins with it, it counts as one that was fetched ahead.
        taken = partial(ack, logger, errors)
        pool.apply_async(use, (task.run, Permit(task.name, message), taken), callback=_end)

    return take


def use(run: Callable[[str], None], permit: Permit, taken: Callable[[], None]) -> None:
    """Use a permit on the thread of a slot; what goes wrong is logged, nobody looks at what a slot comes to."""
    taken()
    state.task_accepted(permit)
    try:
        run(permit.queue)
    except Exception:
        logger.exception("permit broke", extra={"queue": permit.queue})
    finally:
        state.task_ready(permit)


def _end(_: None) -> None:
    """Celery's pool calls something at the end."""
