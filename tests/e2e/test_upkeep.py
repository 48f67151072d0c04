"""Housekeeping that comes as tasks, and what probes and Prometheus are told."""

from signal import SIGTERM

import httpx2
import pytest
from sqlalchemy import text

from shared import broker, db
from tests.e2e.conftest import answers
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e


def count(table):
    with db.transaction() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def ask(worker, path):
    return httpx2.get(f"http://127.0.0.1:{worker.port}{path}", trust_env=False)


def test_expired_content_is_deleted_and_leaves_a_tombstone(start, http, execute, settings, statuses):
    start("worker", STRATA_RESULT_SECONDS=1)
    execution = execute(chain("demo"), film="Avatar")
    gone = until(lambda: (answer := http.get(f"/v2/executions/{execution['id']}")).status_code == 410 and answer)

    with broker.celery_app(settings) as celery_app:
        celery_app.send_task("strata.expire", queue="normal")
    until(lambda: count("contents") == 0)

    assert (count("layer_results"), statuses()) == (0, {"succeeded": 1})
    assert http.get(f"/v2/executions/{execution['id']}").json() == gone.json()


def test_a_worker_tells_that_it_is_alive_ready_and_what_it_did(start, execute, statuses):
    worker = start("worker")
    execute(chain("demo"), film="Avatar")
    until(lambda: statuses() == {"succeeded": 1})

    assert [ask(worker, path).status_code for path in ("/healthz", "/readyz", "/none")] == [200, 200, 404]
    told = ask(worker, "/metrics").text
    assert 'strata_executions_ended_total{status="succeeded"} 1.0' in told
    assert 'strata_provider_calls_total{outcome="answered"} 1.0' in told
    assert "Avatar" not in told


def test_a_worker_that_drains_is_alive_and_not_ready(start, execute, in_flight):
    worker = start("worker")
    execute(chain("demo:latency=2000"), film="Avatar")
    until(lambda: in_flight() == 1)

    worker.send_signal(SIGTERM)

    until(lambda: ask(worker, "/readyz").status_code == 503, seconds=1.5)
    assert ask(worker, "/healthz").status_code == 200


def test_a_worker_without_postgres_is_alive_and_not_ready(start_unready):
    worker = start_unready("worker", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    until(lambda: answers(f"http://127.0.0.1:{worker.port}/healthz"))

    assert ask(worker, "/readyz").status_code == 503


def test_the_api_tells_prometheus_how_the_queues_are(start, http, execute):
    for _ in range(3):
        execute(chain("demo"), film="Avatar")
    start("worker", STRATA_QUEUES="low", STRATA_WORKER_CONCURRENCY=7)

    until(lambda: 'strata_queue_slots{queue="low"} 7.0' in http.get("/metrics").text)

    told = http.get("/metrics").text
    assert 'strata_queue_queued{queue="normal"} 3.0' in told
    assert 'strata_queue_running{queue="normal"} 0.0' in told
    assert 'strata_executions_accepted_total{queue="normal"}' in told
