"""Queues and permits. The only file that publishes.

A permit is a Celery message without an id: "there is work in this queue". What is done is decided by the claim in
Postgres, so a permit too many finds nothing, and one too few is made up for by the sweep.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu import Connection, Exchange, Queue

from shared.hints import Courier
from shared.order import ERRANDS, QUEUES
from shared.settings import Settings

TASK = "strata.work"
#: Permits in a queue when no worker has said yet how many it has use for.
DEFAULT_BOUND = 200
#: The bound is forgotten when no worker renews it, in seconds.
BOUND_SECONDS = 60

#: The longest pause between two looks for a broker that is away.
RECONNECT_SECONDS = 5

# Pushes permits while the queue has fewer than its bound: ARGV are the default bound, then the permits.
_PUSH = """
local bound = tonumber(redis.call('GET', KEYS[2]) or ARGV[1])
local room = bound - redis.call('LLEN', KEYS[1])
for i = 2, math.min(#ARGV, room + 1) do redis.call('LPUSH', KEYS[1], ARGV[i]) end
"""

_courier: Courier | None = None
_prototypes: dict[str, dict[str, Any]] = {}


def connect(settings: Settings) -> None:
    """Start this process's courier; call it after a fork, never before."""
    global _courier
    close()
    app = celery_app(settings)
    _prototypes.update({queue: _prototype(app, queue) for queue in (*QUEUES, *ERRANDS)})
    _courier = Courier(settings.redis_url)


def close() -> None:
    """Stop the courier."""
    global _courier
    if _courier is not None:
        _courier.close()
        _courier = None


def courier() -> Courier:
    """The courier of this process, for hints of other kinds."""
    if _courier is None:
        raise RuntimeError("broker.connect has not been called in this process")
    return _courier


def permit(queue: str, count: int = 1) -> None:
    """Tell the workers of a queue that there is work for `count` of them; never blocks, never fails."""
    messages = [_message(queue) for _ in range(count)]
    courier().send("EVAL", _PUSH, 2, queue, _bound_key(queue), DEFAULT_BOUND, *messages)


def bound(queue: str, permits: int) -> None:
    """Say how many permits the live workers of a queue have use for."""
    courier().send("SET", _bound_key(queue), permits, "EX", BOUND_SECONDS)


class _Connection(Connection):
    """Looks for a broker that is away every few seconds for ever; kombu's own pauses grow to half a minute."""

    def ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        pauses = {"interval_start": 1, "interval_step": 1, "interval_max": RECONNECT_SECONDS}
        return super().ensure_connection(*arguments, **pauses | options)


def celery_app(settings: Settings) -> Celery:
    """A Celery application with the queues and the broker's settings; the worker adds its tasks."""
    app = Celery("strata", broker=settings.redis_url, set_as_current=False)
    app.amqp.Connection = _Connection
    app.conf.update(
        task_queues=queues((*QUEUES, *ERRANDS)),
        task_default_queue="normal",
        task_create_missing_queues=False,
        task_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        # A permit carries no work: losing one in a crash costs a second, and acking late would only repeat it.
        task_acks_late=False,
        task_send_sent_event=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=settings.task_events,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_acquire_timeout=2,
        broker_transport_options={
            # A half-open connection is seen by these three; without them a worker stays deaf for ever.
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": True,
            # One connection a slot at least, or acks are lost beyond kombu's ten.
            "max_connections": 4 * settings.worker_concurrency + 20,
            # A permit that is taken is gone: books of what was taken cost two round trips each, for nothing that
            # the sweep does not do.
            "ack_emulation": False,
        },
        timezone="UTC",
    )
    return app


def queues(names: Iterable[str]) -> list[Queue]:
    """Celery's queues of these names, each with an exchange of its own."""
    return [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in names]


def _bound_key(queue: str) -> str:
    return f"strata:bound:{queue}"


def _prototype(app: Celery, queue: str) -> dict[str, Any]:
    # Built once by Celery and kombu themselves, so that the envelope is theirs; a copy costs a tenth of a publish.
    message = app.amqp.as_task_v2("id", TASK, args=(), kwargs={}, create_sent_event=False)
    body, content_type, encoding = message.body, "application/json", "utf-8"
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": encoding,
        "content-type": content_type,
        "headers": message.headers,
        "properties": {
            **message.properties,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "",
        },
    }


def _message(queue: str) -> str:
    prototype = _prototypes[queue]
    name = str(uuid4())
    headers = {**prototype["headers"], "id": name, "root_id": name}
    properties = {**prototype["properties"], "correlation_id": name, "delivery_tag": name}
    return json.dumps({**prototype, "headers": headers, "properties": properties})
