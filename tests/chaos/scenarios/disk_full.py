"""Postgres's disk is full: it cannot write its log, and stops; then there is space again."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2

from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.scores import Scores, skipped
from tests.chaos.stack import Stack

NAME = "disk_full"
PROMISE = "every row that was accepted before Postgres ran out of disk is there once there is space again"
SMALL_MB, LARGE_MB, FREE_KB = 200, 600, 500
FULL_SECONDS = 60.0


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Fill the disk under load, make space, start Postgres again."""
    if os.geteuid() != 0:
        return skipped(NAME, seed, "only root can mount a small disk")
    try:
        with _small_disk(stack) as disk:
            return _run(stack, disk, seed, max(3.0, 10.0 * size))
    except PermissionError as error:
        return skipped(NAME, seed, f"no small disk can be mounted here: {error}")


def _run(stack: Stack, disk: Path, seed: int, seconds: float) -> Scores:
    client = servers.witness(stack)
    stack.start_api()
    stack.start_workers(2)
    client.publish("chain", "demo:latency=100", "demo:latency=200")
    with Load(client, "chain", per_second=20, seed=seed):
        time.sleep(1.0)
        _fill(disk)
        # What is written from now on finds no space, sooner or later.
        stack.until(lambda: client.refused, FULL_SECONDS, what="a full disk")
        stack.until(lambda: _out_of_log(stack), FULL_SECONDS, what="the panic of a server without space for its log")
        time.sleep(seconds)
        died = _dead(stack)
        at_the_worst = len(client.accepted)
        subprocess.run(["mount", "-o", f"remount,size={LARGE_MB}m", str(disk)], check=True)
        if died:
            stack.postgres.start()
        stack.until(lambda: len(client.accepted) > at_the_worst, FULL_SECONDS, what="an acceptance afterwards")
    scores = books.check(stack, NAME, seed, releases_excuse=True)
    servers.require_honest_refusals(scores, client)
    present = {row[0] for row in stack.rows("SELECT uuid::text FROM executions")}
    missing = len(client.accepted.keys() - present)
    scores.notes |= {
        "accepted before the space came back": at_the_worst,
        "missing": missing,
        "Postgres": "stopped, and was started again" if died else "lived",
    }
    scores.require(not missing, f"{missing} accepted executions are not there")
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    return scores


def _fill(disk: Path) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
        os.posix_fallocate(ballast.fileno(), 0, max(1, free - FREE_KB * 1024))


def _out_of_log(stack: Stack) -> bool:
    """Have Postgres write its log until it finds no space; True once it cannot be asked any more."""
    try:
        stack.rows("SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 4000000))")
    except psycopg2.OperationalError:
        return True
    return False


def _dead(stack: Stack) -> bool:
    return stack.postgres.child is None or stack.postgres.child.poll() is not None


@contextlib.contextmanager
def _small_disk(stack: Stack) -> Iterator[Path]:
    """Move Postgres's data to a file system in memory during the block."""
    place, aside = stack.postgres.place, stack.postgres.place.with_name("postgres.aside")
    stack.postgres.stop()
    place.rename(aside)
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        raise PermissionError(mounted.stderr.strip())
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(place)], check=True)
        stack.postgres.start()
        yield place
    finally:
        stack.close()
        stack.postgres.stop()
        subprocess.run(["umount", "--lazy", str(place)], check=False)
