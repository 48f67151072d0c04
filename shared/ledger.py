"""The books: calls that are about to be sent, calls that were sent, and what has been spent.

A call's intent is a row of `calls` from right before it is sent until its layer is recorded. Whoever takes the intent
away writes the call into `usage` in the same statement, under the intent's number, so that each is booked once, however
often that is tried. What nobody comes to record was cut: it is booked as uncertain, as it was estimated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from shared import strict_json
from shared.plan import Call, Usage
from shared.statements import Statement

#: Rows that a sweep changes in one transaction.
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is about to be sent: for which layer, of which model, and what is estimated for it."""

    number: int
    path: str
    model: str
    estimate: Usage
    cost: Decimal | None = None
    #: What the provider calls an answer that it makes in the background.
    response_id: str | None = None


def open(connection: Connection, execution_id: int, attempt: int, intent: Intent) -> None:  # noqa: A001
    """Write an intent down. A crash of Postgres may take back the last of them, a crash of anything else cannot."""
    _OPEN(connection, {"id": execution_id, "attempt": attempt, **opened(intent)})


def opened(intent: Intent | None) -> dict[str, Any]:
    """An intent as the statements take it, all null without one."""
    if intent is None:
        return _NO_INTENT
    return {
        "intent": intent.number,
        "intent_path": intent.path,
        "intent_model": intent.model,
        "intent_prompt": intent.estimate.prompt_tokens,
        "intent_completion": intent.estimate.completion_tokens,
        "intent_cost": intent.cost,
    }


def drop(connection: Connection, execution_id: int, attempt: int, number: int) -> None:
    """Take back the intent of a call that was never sent."""
    _DROP(connection, {"id": execution_id, "attempt": attempt, "number": number})


def attach(connection: Connection, execution_id: int, attempt: int, number: int, response_id: str) -> None:
    """Note under which id the provider makes the answer; a later attempt can fetch it."""
    _ATTACH(connection, {"id": execution_id, "attempt": attempt, "number": number, "response": response_id})


def adopt(connection: Connection, execution_id: int, attempt: int, number: int, path: str) -> Intent | None:
    """Make an answer that an earlier attempt has asked for, for this layer, this attempt's own under a new number."""
    values = {"id": execution_id, "attempt": attempt, "number": number, "path": path}
    row = _ADOPT(connection, values).first()
    if row is None:
        return None
    estimate = Usage(row.prompt_tokens, row.completion_tokens, row.prompt_tokens + row.completion_tokens)
    return Intent(number, path, row.model, estimate, row.cost, row.response_id)


def book(connection: Connection, execution_id: int, attempt: int, found: Iterable[dict[str, Any]]) -> None:
    """Book lines beside the record of a layer: of one that has stopped, or broke."""
    _BOOK(connection, {"id": execution_id, "attempt": attempt, **booked(found)})


def spent(connection: Connection, execution_id: int, attempt: int) -> tuple[int, Decimal]:
    """Tokens and US dollars of the attempts before one, with what is uncertain of them."""
    row = _SPENT(connection, {"id": execution_id, "attempt": attempt}).one()
    return int(row.tokens), Decimal(row.cost)


def settle(connection: Connection) -> int:
    """Book what was cut as uncertain: the intents of attempts that are over; returns how many, at most a batch.

    An answer that is made in the background stays open until its execution has ended: it can still be fetched.
    """
    return int(_SETTLE(connection, {"batch": BATCH}).scalar_one())


def lines(path: str, calls: Iterable[Call]) -> list[dict[str, Any]]:
    """The calls of a layer as they are booked."""
    return [_line(path, each) for each in calls]


def booked(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Lines as the statements take them, with the numbers of the intents that they close."""
    booked = list(found)
    return {"booked": strict_json.dumps(booked), "closed": [each["number"] for each in booked if each["number"]]}


def _line(path: str, call: Call) -> dict[str, Any]:
    return {
        # Numbers are unique, nothing is not.
        "number": call.number or None,
        "path": path,
        "model": strict_json.clean(call.model),
        "outcome": call.outcome,
        **(call.usage.as_json() if call.usage else {}),
        "cost": None if call.cost is None else f"{call.cost:f}",
        "kept": call.kept,
        "uncertain": call.uncertain,
    }


_LINES = """jsonb_to_recordset(CAST(:booked AS jsonb)) AS line (
        number integer, path text, model text, outcome text, prompt_tokens bigint, completion_tokens bigint,
        total_tokens bigint, cost numeric(20, 10), kept boolean, uncertain boolean)"""
_COLUMNS = """organization_id, key_id, execution_id, version_id, attempt, number, path, model, outcome,
                       prompt_tokens, completion_tokens, total_tokens, cost, kept, uncertain"""

#: Common table expressions that book lines for an owner, who has id, organization_id, key_id, version_id and attempt.
BOOKED = f"""closed AS (
        DELETE FROM calls c USING {{owner}}
         WHERE c.execution_id = {{owner}}.id AND c.attempt = {{owner}}.attempt
           AND c.number = ANY (CAST(:closed AS integer[]))
        RETURNING c.number
    ), booked AS (
        INSERT INTO usage ({_COLUMNS})
        SELECT organization_id, key_id, id, version_id, attempt, line.number, line.path, model, outcome,
               prompt_tokens, completion_tokens, total_tokens, cost, kept, uncertain
          FROM {{owner}}, {_LINES} {{where}}
        ON CONFLICT (execution_id, attempt, number) DO NOTHING
    )"""

#: Usage and cost of an execution `e`, as a row; `more` are counted with what is booked, `having` may say no.
USED = """(
    SELECT jsonb_build_object('prompt_tokens', coalesce(sum(prompt_tokens), 0),
                              'completion_tokens', coalesce(sum(completion_tokens), 0),
                              'total_tokens', coalesce(sum(total_tokens), 0)),
           sum(cost)
      FROM (SELECT prompt_tokens, completion_tokens, total_tokens, cost FROM usage
             WHERE execution_id = e.id AND NOT uncertain {more}) AS spent
    HAVING {having})"""
#: More for `USED`: lines that are booked in the same statement.
WITH_LINES = f"""
            UNION ALL SELECT prompt_tokens, completion_tokens, total_tokens, cost FROM {_LINES} WHERE NOT uncertain"""

#: What makes an intent `c` of an execution `e` one that nobody will record.
CUT = "(e.status <> 'running' OR c.attempt < e.attempt)"

_NO_INTENT = dict.fromkeys((
    "intent",
    "intent_path",
    "intent_model",
    "intent_prompt",
    "intent_completion",
    "intent_cost",
))
_INTO_CALLS = "INSERT INTO calls (execution_id, attempt, number, path, model, prompt_tokens, completion_tokens, cost)"
_INTENT = """CAST(:intent AS integer), :intent_path, :intent_model, CAST(:intent_prompt AS bigint),
               CAST(:intent_completion AS bigint), CAST(:intent_cost AS numeric)"""

# The commit waits for no disk: the worker knows the call too, and both would have to die for it to be forgotten.
_OPEN = Statement(f"""
    {_INTO_CALLS}
    SELECT :id, :attempt, {_INTENT} FROM set_config('synchronous_commit', 'off', true)
""")
#: A common table expression that writes an intent down, where there is one, for an owner with id and attempt.
OPENED = f"""opened AS (
        {_INTO_CALLS}
        SELECT id, attempt, {_INTENT} FROM {{owner}} WHERE CAST(:intent AS integer) IS NOT NULL
        ON CONFLICT (execution_id, attempt, number) DO NOTHING
    )"""
_NAMED = "execution_id = :id AND attempt = :attempt AND number = :number"
_DROP = Statement(f"DELETE FROM calls WHERE {_NAMED}")
_ATTACH = Statement(f"UPDATE calls SET response_id = :response WHERE {_NAMED}")
_ADOPT = Statement("""
    UPDATE calls SET attempt = :attempt, number = :number
     WHERE (execution_id, attempt, number) = (
               SELECT execution_id, attempt, number FROM calls
                WHERE execution_id = :id AND attempt < :attempt AND path = :path AND response_id IS NOT NULL
                ORDER BY attempt DESC, number DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING model, prompt_tokens, completion_tokens, cost, response_id
""")

# The intents go first: in the other order this and a sweep could wait for each other.
_BOOK = Statement(f"""
    WITH owner AS (
        SELECT id, organization_id, key_id, version_id, CAST(:attempt AS integer) AS attempt
          FROM executions WHERE id = :id
    ), {BOOKED.format(owner="owner", where="WHERE (SELECT count(*) FROM closed) >= 0")}
    SELECT
""")

_SPENT = Statement("""
    SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(cost), 0) AS cost
      FROM (SELECT total_tokens AS tokens, cost FROM usage WHERE execution_id = :id
            UNION ALL
            SELECT prompt_tokens + completion_tokens, cost FROM calls
             WHERE execution_id = :id AND attempt < :attempt) AS before
""")

_SETTLE = Statement(f"""
    WITH cut AS (
        SELECT c.ctid AS place FROM executions e RIGHT JOIN calls c ON c.execution_id = e.id
         WHERE e.id IS NULL OR e.ended_at IS NOT NULL OR (c.response_id IS NULL AND {CUT})
         LIMIT :batch FOR UPDATE OF c SKIP LOCKED
    ), closed AS (
        DELETE FROM calls c WHERE c.ctid = ANY (ARRAY(SELECT place FROM cut)) RETURNING c.*
    ), booked AS (
        INSERT INTO usage ({_COLUMNS})
        SELECT e.organization_id, e.key_id, e.id, e.version_id, c.attempt, c.number, c.path, c.model, 'uncertain',
               c.prompt_tokens, c.completion_tokens, c.prompt_tokens + c.completion_tokens, c.cost, false, true
          FROM closed c JOIN executions e ON e.id = c.execution_id
        ON CONFLICT (execution_id, attempt, number) DO NOTHING
    )
    SELECT count(*) FROM closed
""")
