"""A worker is frozen in the middle of a call, past its lease, and thawed when its executions are another's."""

import random
from collections import Counter
from contextlib import suppress

from tests.chaos import books
from tests.chaos.processes import Process
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "zombie"
PROMISE = "a worker that lost its claims while it was frozen changes nothing when it comes back"
PAUSES = 30
#: Executions that are submitted for each pause.
EXECUTIONS = 6
#: The answer for the first layer is to be recorded, that for the only layer comes with the end.
CHAINS = {"first": ("demo:latency=700", "demo"), "only": ("demo:latency=700",)}


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Freeze and thaw so many times; where in the second attempt the first comes back is the seed's."""
    generator = random.Random(seed)
    stack.start_api()
    workers = stack.start_workers(2)
    for handle, models in CHAINS.items():
        stack.client.publish(handle, *models)
    pauses = max(2, round(PAUSES * size))
    frozen, refused = 0, 0
    for number in range(pauses):
        found = _pause(stack, workers, generator.choice(list(CHAINS)), meets_its_successor=number % 2 == 0)
        frozen, refused = frozen + found[0], refused + found[1]
    scores = books.check(stack, NAME, seed)
    scores.require(refused == frozen, f"only {refused} of {frozen} frozen attempts found their claim lost")
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    scores.require(scores.deaths >= pauses, f"only {scores.deaths} executions were taken over in {pauses} pauses")
    scores.notes["pauses"] = f"{pauses}, after which {refused} of {frozen} attempts found their claim lost"
    return scores


def _pause(stack: Stack, workers: list[Process], handle: str, *, meets_its_successor: bool) -> tuple[int, int]:
    """Freeze a worker until another runs what it was running, or has ended it; returns how much that was.

    And how many of these attempts have said that they lost their claim.
    """
    for _ in range(EXECUTIONS):
        stack.client.submit(handle)
    stack.until(lambda: stack.in_flight() == EXECUTIONS, what="a call of each execution")
    # Whoever has the most of them.
    writer = Counter(stack.running().values()).most_common(1)[0][0]
    victim = next(each for each in workers if each.writer == writer)
    lost_before = _lost(victim)
    victim.freeze()
    mine = {uuid for uuid, owner in stack.running().items() if owner == writer}
    stack.until(lambda: _taken_over(stack, mine, writer, ended=not meets_its_successor), what="the takeover")
    victim.thaw()
    with suppress(TimeoutError):
        stack.until(lambda: _lost(victim) >= lost_before + len(mine), 10.0)
    stack.until(lambda: not stack.unended(), what="the end of all")
    stack.until(lambda: victim.ready, what="the return of its worker")
    return len(mine), _lost(victim) - lost_before


def _taken_over(stack: Stack, uuids: set[str], writer: str, *, ended: bool) -> bool:
    left, running = _left(stack, uuids), stack.running()
    return not left or (not ended and all(running.get(uuid, writer) != writer for uuid in left))


def _left(stack: Stack, uuids: set[str]) -> set[str]:
    return uuids & {row[0] for row in stack.rows("SELECT uuid::text FROM executions WHERE ended_at IS NULL")}


def _lost(worker: Process) -> int:
    return worker.output.read_text().count('"event": "claim lost"')
