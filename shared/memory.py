"""What is said on threads: written when an execution has succeeded, read as it was when one was first claimed."""

from sqlalchemy import Connection

from shared.outside import History
from shared.statements import Statement

#: A token is counted for so many bytes, and so many more for each message.
BYTES_OF_TOKEN = 4
AROUND_MESSAGE = 4
#: However large the window, no more messages are read than this.
_MOST_MESSAGES = 2000


def read(connection: Connection, *, thread_id: int, channel: str, until: int, tokens: int) -> History:
    """What was said on a channel up to a message: of the newest as many as fit in so many tokens.

    It never begins with an answer whose question is left out.
    """
    values = {"thread": thread_id, "channel": channel, "until": until, "tokens": tokens, "most": _MOST_MESSAGES}
    rows = _READ(connection, values).all()
    there = rows[0].there if rows else 0
    fitting = [row for row in rows if row.role is not None]
    while fitting and fitting[0].role == "assistant":
        fitting = fitting[1:]
    told = {
        "messages": len(fitting),
        "tokens": sum(row.tokens for row in fitting),
        "left_out": there - len(fitting),
    }
    return History(tuple({"role": row.role, "content": row.content} for row in fitting), {"history": told})


def write(connection: Connection, execution_id: int) -> int:
    """Add what an execution has said to its thread, in the order in which its layers ended; returns how many messages.

    It wants the lock of the thread, so that the messages of a thread are numbered in the order of their commits.
    """
    return _WRITE(connection, {"execution": execution_id}).rowcount


def tokens(column: str) -> str:
    """SQL: about how many tokens a text has."""
    return f"{AROUND_MESSAGE} + (octet_length({column}) + {BYTES_OF_TOKEN - 1}) / {BYTES_OF_TOKEN}"


_READ = Statement("""
    WITH newest AS (
        SELECT id, role, content, tokens FROM messages
         WHERE thread_id = :thread AND channel = :channel AND id <= :until
         ORDER BY id DESC LIMIT :most
    ), summed AS (
        SELECT *, sum(tokens) OVER (ORDER BY id DESC) AS with_newer FROM newest
    ), everything AS (
        SELECT count(*) AS there FROM messages WHERE thread_id = :thread AND channel = :channel AND id <= :until
    )
    SELECT everything.there, summed.role, summed.content, summed.tokens
      FROM everything LEFT JOIN summed ON with_newer <= :tokens
     ORDER BY summed.id
""")

_WRITE = Statement(f"""
    INSERT INTO messages (thread_id, channel, execution_uuid, path, role, content, tokens)
    SELECT thread_id, channel, uuid, path, role, content, {tokens("content")}
      FROM (SELECT e.thread_id, r.said ->> 'channel' AS channel, e.uuid, r.path, each.role,
                   r.said ->> each.role AS content, r.ended_at, each.place
              FROM executions e JOIN layer_results r ON r.execution_id = e.id
             CROSS JOIN (VALUES (1, 'user'), (2, 'assistant')) AS each (place, role)
             WHERE e.id = :execution AND r.passed AND r.said IS NOT NULL) AS said
     WHERE content <> ''
     ORDER BY ended_at, path, place
""")
