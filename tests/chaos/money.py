"""The check of the product's own books against the model's: every call that it saw is booked, each once.

What is booked as answered has the tokens that the model has counted; what was cut is uncertain. A worker that dies
between the intent of a call and the call itself leaves an uncertain call that the model never saw; nothing else does.
The books outlive the executions, whose ids are looked up in the ledger for that.
"""

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from tests.chaos.stack import Stack
from tests.waiting import until

#: How long what is left open may take to be settled, while a worker lives.
SETTLE_SECONDS = 10.0


@dataclass
class Count:
    """The calls of one execution: seen and answered by the model, with their tokens, and as they are booked."""

    seen: int = 0
    answered: int = 0
    answered_tokens: int = 0
    booked: int = 0
    uncertain: int = 0
    booked_tokens: int = 0

    @property
    def wrong(self) -> int:
        """How many calls are not on the books, are there for nothing, or have another count of tokens."""
        unbooked = max(0, self.seen - self.booked)
        invented = max(0, self.booked - self.uncertain - self.seen)
        # What the model has answered may have been lost on the way, and then it is uncertain.
        miscounted = self.booked_tokens > self.answered_tokens
        if not self.uncertain:
            miscounted = self.booked_tokens != self.answered_tokens
        return unbooked + invented + miscounted


def check(stack: Stack) -> tuple[int, int]:
    """How many calls are booked wrongly, and how many as uncertain; waits for what is to be settled."""
    with suppress(TimeoutError):
        until(lambda: not stack.rows("SELECT 1 FROM calls LIMIT 1"), SETTLE_SECONDS, what="the books")
    counts = _counts(stack)
    return sum(each.wrong for each in counts.values()), sum(each.uncertain for each in counts.values())


def _counts(stack: Stack) -> dict[str, Count]:
    found: dict[str, Count] = defaultdict(Count)
    known = {row[0] for row in stack.rows("SELECT DISTINCT uuid::text FROM ledger")}
    for uuid, booked, uncertain, tokens in stack.rows("""
        SELECT e.uuid::text, count(*), count(*) FILTER (WHERE c.uncertain),
               CAST(coalesce(sum(c.tokens) FILTER (WHERE NOT c.uncertain), 0) AS integer)
          FROM (SELECT execution_id, uncertain, total_tokens AS tokens FROM usage
                UNION ALL
                SELECT execution_id, true, 0 FROM calls) AS c
          JOIN (SELECT DISTINCT uuid, execution FROM ledger WHERE execution IS NOT NULL) AS e
            ON e.execution = c.execution_id
         GROUP BY e.uuid
    """):
        found[uuid] = Count(booked=booked, uncertain=uncertain, booked_tokens=tokens)
    executions: dict[int, str] = {}
    for text in stack.calls_log.read_text().splitlines():
        line = json.loads(text)
        if line.get("execution") in known:
            executions[line["call"]] = line["execution"]
            found[line["execution"]].seen += 1
        elif line["call"] in executions and line.get("usage") and not line["cut"]:
            found[executions[line["call"]]].answered += 1
            found[executions[line["call"]]].answered_tokens += line["usage"]["total_tokens"]
    return found
