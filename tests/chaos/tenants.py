"""More than one organization in a scenario, and what each of them waited."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.client import Client
from tests.chaos.processes import ROOT
from tests.chaos.stack import Stack


@dataclass(frozen=True)
class Wait:
    """What an execution waited for its claim, and how long it took until anything was claimed at all; in seconds."""

    seconds: float
    until_free: float


def command(stack: Stack, *words: str) -> str:
    """Run a command for operators; what it printed."""
    flask = (sys.executable, "-m", "flask", "--app", "api.app", *words)
    return subprocess.run(
        flask, cwd=ROOT, env=stack.environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def newcomer(stack: Stack, name: str) -> Client:
    """A client of an organization made for it."""
    command(stack, "organizations", "create", name)
    return Client(stack.url, command(stack, "keys", "create", "--organization", name, "--scope", "admin"))


def flood(client: Client, handle: str, count: int, threads: int = 8) -> None:
    """Submit so many executions as fast as it goes."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: client.submit(handle), range(count)))


def one_by_one(client: Client, handle: str, count: int, *, pause_seconds: float = 0.2) -> dict[str, float]:
    """Submit one execution after the other, each when the one before has ended; uuid → the time of its answer."""
    found = {}
    for _ in range(count):
        uuid = client.submit(handle)
        if uuid is not None:
            found[uuid] = client.accepted[uuid]
            client.request("GET", f"/v2/executions/{uuid}", headers={"Prefer": "wait=60"})
        time.sleep(pause_seconds)
    return found


def waits(stack: Stack, answered: dict[str, float]) -> list[Wait]:
    """What each of these executions waited; a claim before its answer may have looked before it was committed."""
    claims = [row[0] for row in stack.rows("SELECT extract(epoch FROM at)::float FROM ledger WHERE after = 'running'")]
    rows = stack.rows(
        "SELECT uuid::text, extract(epoch FROM accepted_at)::float, extract(epoch FROM started_at)::float"
        " FROM executions WHERE uuid = ANY (%s::uuid[]) AND started_at IS NOT NULL",
        list(answered),
    )
    found = []
    for uuid, accepted, started in rows:
        free = min((at for at in claims if at >= answered[uuid]), default=started)
        found.append(Wait(started - accepted, min(started, free) - accepted))
    return found


def most_at_once(stack: Stack, organization: str) -> int:
    """The most executions of an organization that ran at the same time."""
    rows = stack.rows(
        "SELECT l.before = 'running', l.after = 'running' FROM ledger l JOIN executions e ON e.uuid = l.uuid"
        " JOIN organizations o ON o.id = e.organization_id WHERE l.what = 'status' AND o.name = %s ORDER BY l.line",
        organization,
    )
    running = most = 0
    for ran, runs in rows:
        running += bool(runs) - bool(ran)
        most = max(most, running)
    return most
