"""Checkpoints: the recorded results of layers. A layer that passed is a row, and never runs again."""

from typing import Any

from sqlalchemy import Connection

from shared import strict_json
from shared.errors import Fenced
from shared.executions import Claim
from shared.plan import Result
from shared.statements import Statement


def record(connection: Connection, claim: Claim, result: Result) -> None:
    """Write a layer's result down; Fenced where this attempt does not own the execution any more.

    A failed layer's row is written over by a later attempt, a passed one's never; the same attempt may repeat its
    record, because it cannot know whether a commit went through whose answer was lost.
    """
    row = _RECORD(
        connection,
        {
            "execution": claim.id,
            "attempt": claim.attempt,
            "path": result.path,
            "passed": result.passed,
            "output": strict_json.dumps(result.output) if result.passed else None,
            "error": strict_json.clean(result.error),
            "reason": result.reason,
            "usage": strict_json.dumps(result.usage.as_json()) if result.usage else None,
            "calls": result.calls,
            "response": strict_json.clean(result.provider_response_id),
            "seconds": result.seconds,
        },
    ).first()
    if row is None:
        raise Fenced(f"attempt {claim.attempt} does not own execution {claim.id}")


def passed(connection: Connection, execution_id: int) -> dict[str, Any]:
    """The outputs of the layers that have passed, by path."""
    rows = _PASSED(connection, {"execution": execution_id})
    return {row.path: row.output for row in rows}


_RECORD = Statement("""
    INSERT INTO layer_results AS r
           (execution_id, path, attempt, passed, output, error, reason, usage, calls, provider_response_id, seconds,
            ended_at)
    SELECT id, :path, attempt, :passed, CAST(:output AS json), :error, :reason, CAST(:usage AS jsonb), :calls,
           :response, :seconds, clock_timestamp()
      FROM executions WHERE id = :execution AND attempt = :attempt AND status = 'running' FOR SHARE
    ON CONFLICT (execution_id, path) DO UPDATE
       SET attempt = excluded.attempt, passed = excluded.passed, output = excluded.output, error = excluded.error,
           reason = excluded.reason, usage = excluded.usage, calls = excluded.calls,
           provider_response_id = excluded.provider_response_id, seconds = excluded.seconds,
           ended_at = excluded.ended_at
     WHERE NOT r.passed OR r.attempt = excluded.attempt
    RETURNING r.path
""")

_PASSED = Statement("SELECT path, output FROM layer_results WHERE execution_id = :execution AND passed")
