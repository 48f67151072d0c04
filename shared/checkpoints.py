"""Checkpoints: the recorded results of layers. A layer that passed is a row, and never runs again."""

from typing import Any

from sqlalchemy import Connection

from shared import db, events, transitions
from shared.errors import Fenced
from shared.executions import Claim, values
from shared.plan import Result
from shared.statements import Statement


def record(connection: Connection, claim: Claim, result: Result) -> None:
    """Write a layer's result down; Fenced where this attempt does not own the execution any more.

    A failed layer's row is written over by a later attempt, a passed one's never; the same attempt may repeat its
    record, because it cannot know whether a commit went through whose answer was lost.
    """
    row = transitions.RECORD(connection, {"id": claim.id, "attempt": claim.attempt, **values(result)}).first()
    if row is None:
        raise Fenced(f"attempt {claim.attempt} does not own execution {claim.id}")
    db.after_commit(events.layer_ended, claim.uuid, claim.attempt, result)


def passed(connection: Connection, execution_id: int) -> dict[str, Any]:
    """The outputs of the layers that have passed, by path."""
    rows = _PASSED(connection, {"execution": execution_id})
    return {row.path: row.output for row in rows}


_PASSED = Statement("SELECT path, output FROM layer_results WHERE execution_id = :execution AND passed")
