"""What operators and probes ask: `/healthz`, `/readyz`, `/metrics`, `/v2/queues`."""

import os
import time
from collections.abc import Iterator

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy import Connection

from api import schemas
from api.endpoint import answer, endpoint
from shared import db, deliveries, lateness, queues
from shared.errors import Unavailable
from shared.keys import Caller

blueprint = Blueprint("operations", __name__)

_GAUGES = {
    "queued": "Executions that could be claimed now",
    "running": "Executions that a worker owns",
    "waiting": "Executions that something holds back",
    "oldest_seconds": "Seconds that the oldest queued execution has waited",
    "slots": "Executions that the live workers can run at once",
}

_LATE = {
    "strata_webhook_pending": "Deliveries that webhooks are owed, those to be tried again later among them",
    "strata_webhook_overdue_seconds": "Seconds since the first of them was due that has not been tried",
    "strata_deadline_overdue_seconds": "Seconds that the deadline of an execution is over which has not ended",
    "strata_erasure_overdue_seconds": "Seconds that content has expired for which is not deleted",
    "strata_clock_offset_seconds": "Seconds that the clock of this process is ahead of that of Postgres",
}


@blueprint.get("/healthz")
@endpoint(scope=None, answers={200: "The process answers."})
def healthz() -> Response:
    """Tell that the process is alive."""
    return Response("ok\n", content_type="text/plain; charset=utf-8")


@blueprint.get("/readyz")
@endpoint(scope=None, answers={200: "Requests can be served.", 503: schemas.Problem()})
def readyz() -> Response:
    """Tell whether requests can be served: Postgres answers. Redis only carries hints, and may be away."""
    with db.autocommit() as connection:
        connection.exec_driver_sql("SELECT 1")
    return Response("ok\n", content_type="text/plain; charset=utf-8")


@blueprint.get("/metrics")
@endpoint(scope=None, answers={200: "Prometheus' text format."})
def metrics() -> Response:
    """Tell Prometheus what this server did, and how the queues are."""
    return Response(_process_metrics() + generate_latest(_database_metrics()), content_type=CONTENT_TYPE_LATEST)


@blueprint.get("/v2/queues")
@endpoint(scope="admin", answers={200: schemas.Queues()})
def list_queues(caller: Caller) -> Response:  # noqa: ARG001
    """Tell how the queues are, and how many slots they have use for; of all organizations together."""
    with db.autocommit() as connection:
        return answer({"queues": queues.now(connection)})


def _process_metrics() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)


def _database_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Database())
    return registry


def _lateness(connection: Connection) -> dict[str, float]:
    asked_at = time.time()
    found, owed = lateness.now(connection), deliveries.lateness(connection)
    return {
        "strata_deadline_overdue_seconds": found["deadline_seconds"],
        "strata_erasure_overdue_seconds": found["erasure_seconds"],
        "strata_webhook_pending": float(owed["pending"]),
        "strata_webhook_overdue_seconds": owed["oldest_seconds"],
        "strata_clock_offset_seconds": (asked_at + time.time()) / 2 - found["epoch"],
    }


class _Database(Collector):
    """What only Postgres knows, as gauges read at each scrape; none of them while it is away."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            with db.autocommit() as connection:
                found = queues.now(connection)
                late = _lateness(connection)
        except Unavailable:
            return
        for name, meaning in _LATE.items():
            yield GaugeMetricFamily(name, meaning, value=late[name])
        for name, meaning in _GAUGES.items():
            gauge = GaugeMetricFamily(f"strata_queue_{name}", meaning, labels=["queue"])
            for each in found:
                gauge.add_metric([each["queue"]], float(each[name]))
            yield gauge
