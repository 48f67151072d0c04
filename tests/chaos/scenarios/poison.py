"""One execution takes every worker down that runs it, among others that have done nothing."""

from tests.chaos import books
from tests.chaos.crashing import LAUNCHER, deaths
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "poison"
PROMISE = "what kills its worker fails as worker_lost at its last death, and takes no neighbour with it"
#: A suspect's process has to start within it.
SETTINGS = {"lease_seconds": 5.0}
ROUNDS = 5
NEIGHBOURS = 10
MAX_DEATHS = 3
#: Deaths after which it runs alone, and those beside it are safe.
SUSPECT_DEATHS = 2


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Submit poison so many times, with neighbours at its first death and others at its last."""
    mark = stack.directory / "mark"
    stack.environment["STRATA_MAX_DEATHS"] = str(MAX_DEATHS)
    stack.start_api()
    stack.start_workers(2, supervised=True, launcher=LAUNCHER, CHAOS_POISON="poison", CHAOS_MARK=mark)
    stack.client.publish("short", "demo:latency=500")
    stack.client.publish("long", "demo:latency=5000")
    rounds = max(1, round(ROUNDS * size))
    poisons, safe = [], []
    for number in range(rounds):
        poison, late = _poison(stack, f"poison {number}")
        poisons.append(poison)
        safe += late
    stack.own_crashes += [crash for _, crash in deaths(mark)]
    scores = books.check(stack, NAME, seed)
    found = {
        row[0]: row[1:] for row in stack.rows("SELECT uuid::text, status, reason, attempt, deaths FROM executions")
    }
    expected = ("failed", "worker_lost", MAX_DEATHS, MAX_DEATHS)
    scores.require(
        all(found[uuid] == expected for uuid in poisons),
        f"poison ended otherwise than {expected}: {[found[uuid] for uuid in poisons]}",
    )
    scores.require(scores.failed == rounds, f"{scores.failed - rounds} neighbours failed")
    scores.require(scores.crashes == MAX_DEATHS * rounds, f"{scores.crashes} processes died, not {MAX_DEATHS} a round")
    charged = [found[uuid] for uuid in safe if found[uuid] != ("succeeded", None, 1, 0)]
    scores.require(not charged, f"neighbours of a suspect were charged: {charged}")
    return scores


def _poison(stack: Stack, word: str) -> tuple[str, list[str]]:
    for _ in range(NEIGHBOURS):
        stack.client.submit("short")
    poison = stack.client.submit("short", word=word)
    assert poison is not None
    query = "SELECT ended_at IS NOT NULL OR deaths >= %s FROM executions WHERE uuid = %s"
    stack.until(lambda: stack.rows(query, SUSPECT_DEATHS, poison)[0][0], what="the second death")
    late = [stack.client.submit("long") for _ in range(NEIGHBOURS)]
    stack.until(lambda: not stack.unended(), 60.0, what="the end of the round")
    return poison, [uuid for uuid in late if uuid]
