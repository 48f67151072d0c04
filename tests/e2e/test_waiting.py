"""Many clients wait on one API process, and cost it a thread each and nothing else."""

import asyncio
import time

import httpx2
import pytest
from sqlalchemy import text

from shared import db
from tests.e2e.definitions import chain
from tests.waiting import until

pytestmark = pytest.mark.e2e
CLIENTS = 200
#: What a process may hold, and what of it has been held for longer than a statement takes.
CONNECTIONS = text("""
    SELECT count(*) AS held, count(*) FILTER (WHERE state <> 'idle' AND state_change < now() - interval '1 s') AS kept
      FROM pg_stat_activity WHERE application_name = 'strata api'
""")


async def wait_for_all(http):
    """Start that many executions at once, each with a client that waits for its end."""
    limits = httpx2.Limits(max_connections=CLIENTS)
    headers = {**http.headers, "Prefer": "wait=40"}
    async with httpx2.AsyncClient(
        base_url=http.base_url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:
        path = "/v2/pipelines/pipeline/versions/latest/executions"
        return await asyncio.gather(*(client.post(path, json={"inputs": {"film": str(n)}}) for n in range(CLIENTS)))


def connections():
    with db.transaction() as connection:
        return connection.execute(CONNECTIONS).one()


def test_waiting_clients_hold_no_connection_and_all_get_their_answer(start, http, statuses, in_background):
    http.put("/v2/pipelines/pipeline", json=chain("demo"))
    waiting = in_background(lambda: asyncio.run(wait_for_all(http)))
    until(lambda: statuses() == {"queued": CLIENTS}, seconds=30)

    asked_at = time.monotonic()
    ready = http.get("/readyz")
    answered_in = time.monotonic() - asked_at
    looks = [connections() for _ in range(20)]
    start("worker")

    assert (ready.status_code, answered_in < 2) == (200, True)
    assert max(look.held for look in looks) <= 20
    assert max(look.kept for look in looks) == 0
    assert {(each.status_code, each.json()["status"]) for each in waiting()} == {(200, "succeeded")}
    assert statuses() == {"succeeded": CLIENTS}
