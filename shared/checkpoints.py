"""Checkpoints: the recorded results of layers. A layer that passed is a row, and never runs again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row

from shared import db, events, ledger, transitions
from shared.errors import Fenced
from shared.executions import Claim, values
from shared.ledger import Intent
from shared.plan import Result
from shared.statements import Statement

#: The reason in the row of a layer that has sent calls, had to wait, and was put aside; it has not failed.
PARKED = "parked"


def record(connection: Connection, claim: Claim, result: Result, intent: Intent | None = None) -> None:
    """Write a layer's result down, with the intent of the next call where there is one already.

    Fenced where this attempt does not own the execution any more.

    A failed layer's row is written over by a later attempt, a passed one's never; the same attempt may repeat its
    record, because it cannot know whether a commit went through whose answer was lost.
    """
    given = {"id": claim.id, "attempt": claim.attempt, **values(result), **ledger.opened(intent)}
    row = transitions.RECORD(connection, given).first()
    if row is None:
        raise Fenced(f"attempt {claim.attempt} does not own execution {claim.id}")
    db.after_commit(events.layer_ended, claim.uuid, claim.attempt, result)


@dataclass(frozen=True, slots=True)
class Past:
    """What the attempts before have left.

    `done` are the results of the layers that have ended, by path; of what is inside of others, only where these have
    not ended. `sent` counts the calls that were sent for layers that had to wait, and were put aside.
    """

    done: Mapping[str, Result] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)


def past(connection: Connection, execution_id: int) -> Past:
    """What is recorded of an execution."""
    rows = _PAST(connection, {"execution": execution_id}).all()
    done = {row.path: _result(row) for row in rows if row.reason != PARKED}
    return Past(done, {row.path: row.calls for row in rows if row.reason == PARKED})


def _result(row: Row[Any]) -> Result:
    return Result(
        row.path,
        passed=row.passed,
        seconds=row.seconds,
        output=row.output,
        error=row.error,
        reason=row.reason,
        skipped=row.skipped,
    )


# What is inside of a layer that has ended is not asked for again.
_PAST = Statement("""
    SELECT r.path, r.passed, r.skipped, r.output, r.error, r.reason, r.calls, r.seconds
      FROM layer_results r
     WHERE r.execution_id = :execution
       AND NOT EXISTS (SELECT FROM layer_results a
                        WHERE a.execution_id = :execution AND a.path <> r.path
                          AND a.path = substring(r.path FROM '^[^/]+/[^/[]+') AND a.reason IS DISTINCT FROM 'parked')
""")
