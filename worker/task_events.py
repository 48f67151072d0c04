"""Tells Flower about executions, each as a task of its own: uuid, `handle@version`, state, runtime; never a value.

Events are gathered and leave once a second from a thread of their own; when the broker is away they are dropped.
"""

import logging
import os
import threading
from collections import deque
from typing import Any
from uuid import UUID

from celery import Celery
from celery.events import Event, get_exchange
from kombu import Producer
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
#: Events kept at most until the next flush; the oldest go first.
CAPACITY = 20_000
_EVENT_OF = {"succeeded": "task-succeeded", "failed": "task-failed", "cancelled": "task-revoked"}


class TaskEvents:
    """A buffer of Celery's task events and the thread that empties it; does nothing unless enabled."""

    def __init__(self, app: Celery, hostname: str, *, enabled: bool) -> None:
        self._app = app
        self._hostname = hostname
        self._enabled = enabled
        self._waiting: deque[dict[str, Any]] = deque(maxlen=CAPACITY)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, name="task events", daemon=True)
        if enabled:
            self._thread.start()

    def started(self, uuid: UUID, name: str) -> None:
        """An attempt at an execution has begun."""
        self._add("task-received", uuid, name=name, args="()", kwargs="{}", retries=0)
        self._add("task-started", uuid)

    def ended(self, uuid: UUID, name: str, status: str, seconds: float) -> None:
        """An attempt has ended; a status that is no end (`released`) means that another will follow."""
        told = {} if status == "succeeded" else {"exception": status}
        self._add(_EVENT_OF.get(status, "task-retried"), uuid, name=name, runtime=seconds, result="", **told)

    def close(self) -> None:
        """Send what is waiting and stop."""
        self._closing.set()
        if self._enabled:
            self._thread.join(2.0)

    def _add(self, kind: str, uuid: UUID, **fields: Any) -> None:
        if self._enabled:
            fields |= {"uuid": str(uuid), "hostname": self._hostname, "pid": os.getpid(), "utcoffset": 0}
            self._waiting.append(Event(kind, clock=self._app.clock.forward(), **fields))

    def _flush_regularly(self) -> None:
        while True:
            closing = self._closing.wait(FLUSH_SECONDS)
            if self._waiting:
                self._flush()
            if closing:
                return

    def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            with self._app.connection_for_write() as connection:
                exchange = get_exchange(connection, name=self._app.conf.event_exchange)
                Producer(connection.default_channel, exchange=exchange, auto_declare=False).publish(
                    batch,
                    # Undeclared, it is no fanout to a fresh connection, and the events reach nobody.
                    declare=[exchange],
                    routing_key="task.multi",
                    serializer="json",
                    headers={"hostname": self._hostname},
                    delivery_mode=1,
                    retry=False,
                )
        except (OperationalError, OSError) as error:
            logger.warning("task events dropped", extra={"events": len(batch), "cause": type(error).__name__})
        except Exception:
            # Whatever the broker's client does, the next second is tried again.
            logger.exception("task events dropped")
