"""The network breaks around a statement: before it arrives, while it is under way, and before its answer is back."""

from collections import Counter

from shared import transitions, turns
from shared.statements import Statement
from tests.chaos import books, servers
from tests.chaos.client import Load
from tests.chaos.proxy import Cut, Proxy, in_front_of
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

NAME = "postgres_cut_commit"
PROMISE = "a statement whose answer is lost is looked up or repeated: nothing runs twice, is lost, or fails for it"
#: Every statement of the protocol, and the COMMIT of whatever takes a transaction: leases, duties, keys, caps.
NEEDLES = {
    "accept": transitions.ACCEPT,
    "claim": turns.CLAIM,
    "record": transitions.RECORD,
    "finish": transitions.FINISH,
    "commit": None,
}
MOMENTS = ("before", "behind", "answer")
EXECUTIONS, SHARE = 40, 0.4


def run(stack: Stack, *, seed: int, size: float) -> Scores:
    """Cut every statement of the protocol at every moment."""
    hits: Counter[str] = Counter()
    with in_front_of(stack.postgres.url) as (proxy, url):
        stack.environment["DATABASE_URL"] = url
        client = servers.witness(stack)
        stack.start_api()
        stack.start_workers(2)
        client.publish("chain", "demo:latency=20", "demo:latency=20")
        for name, statement in NEEDLES.items():
            for moment in MOMENTS:
                hits[f"{name} {moment}"] = _cut(stack, proxy, statement, moment, max(4, round(EXECUTIONS * size)))
        scores = books.check(stack, NAME, seed)
    scores.notes["cuts"] = ", ".join(f"{name} {count}" for name, count in hits.items())
    servers.require_honest_refusals(scores, client)
    scores.require(not scores.failed, f"{scores.failed} executions failed")
    return scores


def _cut(stack: Stack, proxy: Proxy, statement: Statement | None, moment: str, executions: int) -> int:
    """Submit until so many are accepted while a share of these statements is cut; returns how many were."""
    needle = statement._execute.partition(" (")[0] if statement else "COMMIT"
    cut = Cut(needle.encode(), moment=moment, share=SHARE)
    proxy.cut_at(cut)
    with Load(stack.client, "chain", per_second=40, seed=executions, count=executions) as load:
        stack.until(lambda: load.done, 60.0, what=f"the acceptance of {executions}")
    stack.until(lambda: cut.hits, what="a cut")
    stack.settle(30.0)
    proxy.heal()
    return cut.hits
