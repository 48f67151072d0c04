"""The independent check after a scenario: what was promised, what the ledger saw, what the model was asked.

lost               accepted, and not ended
doubles            a status after the end, or a second end
stale writes       by a process that does not own the execution's current attempt: layers, outcomes, ends, releases
excess calls       beyond one for each layer that was asked at all
excused            those of them that repeat a layer whose earlier attempt ended with a death, and had not passed
misbooked          calls that the product's books have not, or otherwise than the model's
duplicate effects  a passed layer or an outcome that another attempt wrote again
recovery           from a crash to the next claim or end of each execution that the dead process was running
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.chaos import money
from tests.chaos.processes import Crash
from tests.chaos.scores import Scores
from tests.chaos.stack import Stack

ENDED = ("succeeded", "failed", "cancelled")
#: Ends that anybody may write, because a sweep or a cancel does.
ANYBODYS = ("worker_lost", "deadline", "cancelled")


@dataclass(frozen=True)
class Line:
    """A line of the ledger."""

    at: float
    writer: str
    transaction: int
    what: str
    path: str | None
    before: str | None
    after: str | None
    attempt: int
    deaths: int
    reason: str | None
    passed: bool | None
    #: The process that it was given to had not begun, and so nothing of it: that counts no death.
    unbegun: bool | None = None


Ledger = dict[str, list[Line]]
#: Execution and layer → the attempts that asked the model for it, in order.
Calls = dict[tuple[str, str], list[int]]


def check(stack: Stack, scenario: str, seed: int, *, releases_excuse: bool = False) -> Scores:
    """Settle, read every book, and return the scores with the promises that hold for all scenarios checked.

    A layer may be asked again after a release too where `releases_excuse`: at the end of a drain, and when Postgres
    was away for longer than the lease.
    """
    stack.settle()
    ledger, calls = read_ledger(stack), read_calls(stack)
    ended = {uuid for uuid, lines in ledger.items() if any(line.after in ENDED for line in lines)}
    excess = {key: len(attempts) - 1 for key, attempts in calls.items() if len(attempts) > 1}
    scores = Scores(
        scenario,
        seed,
        submitted=stack.client.submitted,
        accepted=len(stack.client.accepted),
        ended=len(ended),
        failed=sum(any(line.after == "failed" for line in lines) for lines in ledger.values()),
        lost=len(stack.client.accepted.keys() - ended),
        doubles=sum(_doubles(lines) for lines in ledger.values()),
        excess_calls=sum(excess.values()),
        excused=sum(_excused(calls[key], ledger[key[0]], key[1], releases_excuse) for key in excess),
        stale_writes=sum(_stale(lines) for lines in ledger.values()),
        duplicate_effects=sum(_repeated(lines) for lines in ledger.values()),
        deaths=sum(
            max((line.deaths for line in lines if line.what == "status"), default=0) for lines in ledger.values()
        ),
        crashes=len(stack.crashes),
        recoveries=recoveries(ledger, stack.crashes),
    )
    scores.misbooked, uncertain = money.check(stack)
    scores.notes["uncertain calls"] = uncertain
    scores.require(not scores.misbooked, f"{scores.misbooked} calls booked wrongly")
    scores.require(not scores.lost, f"{scores.lost} accepted executions lost")
    scores.require(not stack.unended(), f"{stack.unended()} executions never ended")
    scores.require(not scores.doubles, f"{scores.doubles} changes after an end")
    scores.require(not scores.stale_writes, f"{scores.stale_writes} stale writes")
    scores.require(not scores.duplicate_effects, f"{scores.duplicate_effects} effects twice")
    unexcused = scores.excess_calls - scores.excused
    scores.require(not unexcused, f"{unexcused} excess calls that no crash explains")
    return scores


def read_ledger(stack: Stack) -> Ledger:
    """The lines of each execution, in order."""
    found: Ledger = defaultdict(list)
    for uuid, *fields in stack.rows(
        "SELECT uuid::text, extract(epoch FROM at)::float, writer, transaction, what, path, before, after, attempt,"
        " deaths, reason, passed, unbegun FROM ledger ORDER BY line"
    ):
        found[uuid].append(Line(*fields))
    return found


def read_calls(stack: Stack) -> Calls:
    """What the model itself has written down, for the executions that the ledger knows."""
    known = {row[0] for row in stack.rows("SELECT DISTINCT uuid::text FROM ledger")}
    found: Calls = defaultdict(list)
    for text in stack.calls_log.read_text().splitlines():
        line: dict[str, Any] = json.loads(text)
        if line.get("execution") in known:
            found[line["execution"], line["layer"]].append(line["attempt"])
    return found


def recoveries(ledger: Ledger, crashes: Iterable[Crash], *, everything: bool = False) -> list[float]:
    """Seconds from each crash to the next claim or end of the executions that it hit, and that recovered.

    Hit is what the crashed process was running and was taken from it; with `everything`, whatever had been accepted
    and not ended.
    """
    found = []
    for crash in crashes:
        for lines in ledger.values():
            statuses = [line for line in lines if line.what == "status"]
            before = [line for line in statuses if line.at <= crash.at]
            after = statuses[len(before) :]
            if not before or not after or before[-1].after in ENDED:
                continue
            last, following = before[-1], after[0]
            if everything or (last.writer == crash.writer and last.deaths < following.deaths):
                later = [line.at for line in after if line.after in ("running", *ENDED)]
                found += [at - crash.at for at in later[:1]]
    return found


def _doubles(lines: list[Line]) -> int:
    return sum(line.before in ENDED for line in lines) + max(0, sum(line.after in ENDED for line in lines) - 1)


def _stale(lines: list[Line]) -> int:
    """Writes by who does not own the current attempt, judged by what was committed before them."""
    count, ends = 0, {line.transaction for line in lines if line.after in ENDED}
    for number, line in enumerate(lines):
        statuses = [each for each in lines[:number] if each.what == "status" and each.transaction != line.transaction]
        last = statuses[-1] if statuses else None
        owner = last.writer if last is not None and last.after == "running" else None
        if line.what == "layer":
            count += line.writer != owner or line.attempt != last.attempt  # type: ignore[union-attr]
        elif line.what == "outcome":
            count += line.transaction not in ends
        elif last is not None and line.before == "running" and _is_the_owners(line, last):
            count += line.writer != owner
    return count


def _is_the_owners(line: Line, last: Line) -> bool:
    """Whether only the owner may write this: an end of its own, or a release, which counts no death."""
    if line.deaths != last.deaths or line.unbegun:
        return False
    return line.after in ("queued", "waiting") or (line.after in ENDED and line.reason not in ANYBODYS)


def _repeated(lines: list[Line]) -> int:
    """Passed layers that two attempts have written, and outcomes beyond the first."""
    passed: dict[str | None, set[int]] = defaultdict(set)
    for line in lines:
        if line.passed:
            passed[line.path].add(line.attempt)
    outcomes = sum(line.what == "outcome" for line in lines)
    return sum(len(attempts) - 1 for attempts in passed.values()) + max(0, outcomes - 1)


def _excused(attempts: list[int], lines: list[Line], path: str, releases_excuse: bool) -> int:
    """How many calls of a layer after its first are explained by how the attempt before them ended."""
    given_up = set()
    deaths = 0
    for line in lines:
        if line.what == "status":
            if line.before == "running" and (line.deaths > deaths or (releases_excuse and line.after == "queued")):
                given_up.add(line.attempt)
            deaths = line.deaths
    passed = min((line.attempt for line in lines if line.passed and line.path == path), default=None)
    ordered = sorted(attempts)
    return sum(
        later != earlier and earlier in given_up and (passed is None or later <= passed)
        for earlier, later in pairwise(ordered)
    )
