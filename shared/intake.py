"""Reading documents: who takes one has it until its lease is over, and writes its chunks together with its end.

Every write names the attempt, and changes nothing where another one has come since, or the document is gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping

from shared import db, metrics, passages, strict_json, webhooks
from shared.statements import Statement

#: A document that has taken so many workers down is given up.
MOST_DEATHS = 3
#: Where its embeddings cannot be had, it is tried so often, at ever longer intervals.
MOST_ATTEMPTS = 12
_LONGEST_PAUSE_SECONDS = 1800.0
#: Chunks, and vectors of them, that one statement writes: thousands would take it longer than a statement may.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """A document that is to be read now; `attempt` fences what is written."""

    id: int
    uuid: UUID
    organization_id: int
    name: str
    mime_type: str
    attempt: int
    deaths: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, with about how many tokens it has, and where it begins."""

    text: str
    tokens: int
    page: int | None = None
    heading: str | None = None


def take(connection: Connection, *, lease_seconds: float) -> Taken | None:
    """Take the document that has been due for longest; None where none is.

    One that was taken and never heard of again comes with its `deaths`; at MOST_DEATHS it is to be failed.
    """
    row = _TAKE(connection, {"lease": lease_seconds}).first()
    return None if row is None else Taken(**{**row._asdict(), "body": bytes(row.body)})


def backlog(connection: Connection, *, at_most: int) -> int:
    """How many documents are due; counting stops at a number."""
    return int(_BACKLOG(connection, {"at_most": at_most}).scalar_one())


def renew(connection: Connection, taken: Taken, *, lease_seconds: float) -> bool:
    """Go on having it for a while; False where it is another's by now, or gone."""
    return _RENEW(connection, {**_fence(taken), "lease": lease_seconds}).rowcount == 1


def put_back(connection: Connection, taken: Taken, *, pause_seconds: float | None = None) -> None:
    """Let it be taken again, after a pause that grows with every attempt; 0 for at once."""
    if pause_seconds is None:
        pause_seconds = min(_LONGEST_PAUSE_SECONDS, 5.0 * 2.0 ** (taken.attempt - 1))
    _PUT_BACK(connection, {**_fence(taken), "pause": pause_seconds})


def end_ready(
    connection: Connection,
    taken: Taken,
    chunks: Sequence[Chunk],
    text: str,
    *,
    vectors: Sequence[Sequence[float]] = (),
    model: str | None = None,
) -> bool:
    """Write what was found in a document; False where it is another's by now, or gone. Needs a transaction.

    The vectors are of the chunks, in their order; there are none where no model makes any.
    """
    folder = _ended(connection, taken, "ready", chunks=len(chunks))
    if folder is None:
        return False
    _KEEP_TEXT(connection, {"id": taken.id, "text": strict_json.clean(text)})
    rows = [
        {
            "number": number,
            "text": strict_json.clean(each.text),
            "tokens": each.tokens,
            "page": each.page,
            "heading": strict_json.clean(each.heading) if each.heading else None,
        }
        for number, each in enumerate(chunks)
    ]
    for first in range(0, len(rows), _AT_ONCE):
        written = strict_json.dumps(rows[first : first + _AT_ONCE])
        _WRITE(connection, {"id": taken.id, "folder": folder["id"], "rows": written})
    for first in range(0, len(vectors), _AT_ONCE):
        embeddings = [passages.written(each) for each in vectors[first : first + _AT_ONCE]]
        _WRITE_VECTORS(connection, {"id": taken.id, "model": model, "first": first, "vectors": embeddings})
    _tell(connection, taken, folder, status="ready", chunks=len(chunks))
    return True


def end_failed(connection: Connection, taken: Taken, error: str) -> bool:
    """Write down why a document cannot be read; False as above. Needs a transaction."""
    error = strict_json.clean(error)[:2000]
    folder = _ended(connection, taken, "failed", error=error)
    if folder is None:
        return False
    _KEEP_TEXT(connection, {"id": taken.id, "text": None})
    _tell(connection, taken, folder, status="failed", error=error)
    return True


def _ended(
    connection: Connection, taken: Taken, status: str, *, chunks: int = 0, error: str | None = None
) -> RowMapping | None:
    """End a document, and return its folder, which is not deleted meanwhile; None where it is not ours any more."""
    folder = _HOLD_FOLDER(connection, {"id": taken.id}).mappings().first()
    if folder is None:
        return None
    ended = _END(connection, {**_fence(taken), "status": status, "chunks": chunks, "error": error})
    return folder if ended.rowcount else None


def _tell(
    connection: Connection,
    taken: Taken,
    folder: RowMapping,
    *,
    status: str,
    chunks: int = 0,
    error: str | None = None,
) -> None:
    """Owe the webhooks the end of a document and, where it was the last one, that of its folder."""
    document = {"id": str(taken.uuid), "status": status, "name": taken.name, "chunks": chunks, "error": error}
    webhooks.owe(connection, taken.organization_id, "document.ended", taken.uuid, document)
    db.after_commit(metrics.read, status)
    # Of two that end at once the second one waits here, and sees the first.
    _LOCK_FOLDER(connection, {"folder": folder["id"]})
    counts = _COUNT(connection, {"folder": folder["id"]}).mappings().one()
    if counts["pending"]:
        return
    told = {
        "id": str(folder["uuid"]),
        "status": "ready" if counts["failed"] < counts["documents"] else "failed",
        "handle": folder["handle"],
        "documents": counts["documents"],
        "chunks": counts["chunks"],
    }
    webhooks.owe(connection, taken.organization_id, "knowledge.ended", folder["uuid"], told)


def _fence(taken: Taken) -> dict[str, Any]:
    return {"id": taken.id, "attempt": taken.attempt}


_TAKE = Statement("""
    WITH taken AS (
        UPDATE documents SET attempts = attempts + 1, deaths = deaths + 1,
               due_at = clock_timestamp() + make_interval(secs => :lease)
         WHERE id = (SELECT id FROM documents WHERE status = 'pending' AND due_at <= clock_timestamp()
                      ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, uuid, organization_id, name, mime_type, attempts AS attempt, deaths - 1 AS deaths
    )
    SELECT taken.*, b.body FROM taken JOIN document_bodies b ON b.document_id = taken.id
""")
_BACKLOG = Statement("""
    SELECT count(*) FROM (SELECT FROM documents WHERE status = 'pending' AND due_at <= clock_timestamp()
                           LIMIT :at_most) AS head
""")
_OWN = "id = :id AND attempts = :attempt AND status = 'pending'"
_RENEW = Statement(f"UPDATE documents SET due_at = clock_timestamp() + make_interval(secs => :lease) WHERE {_OWN}")
_PUT_BACK = Statement(f"""
    UPDATE documents SET due_at = clock_timestamp() + make_interval(secs => :pause), deaths = deaths - 1 WHERE {_OWN}
""")
_HOLD_FOLDER = Statement("""
    SELECT f.id, f.uuid, f.handle FROM folders f
     WHERE f.id = (SELECT folder_id FROM documents WHERE documents.id = :id) FOR KEY SHARE
""")
_LOCK_FOLDER = Statement("SELECT FROM folders WHERE id = :folder FOR NO KEY UPDATE")
_END = Statement(f"""
    UPDATE documents SET status = :status, error = :error, chunks = :chunks, ended_at = clock_timestamp() WHERE {_OWN}
""")
_COUNT = Statement("""
    SELECT count(*) AS documents, count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'failed') AS failed, CAST(coalesce(sum(chunks), 0) AS bigint) AS chunks
      FROM documents WHERE folder_id = :folder
""")
_KEEP_TEXT = Statement("UPDATE document_bodies SET body = NULL, text = :text WHERE document_id = :id")
_WRITE = Statement("""
    INSERT INTO chunks (document_id, folder_id, number, text, tokens, page, heading)
    SELECT CAST(:id AS bigint), CAST(:folder AS bigint), number, text, tokens, page, heading
      FROM json_to_recordset(CAST(:rows AS json)) AS r (number int, text text, tokens int, page int, heading text)
""")
_WRITE_VECTORS = Statement("""
    INSERT INTO chunk_vectors (chunk_id, model, embedding)
    SELECT c.id, CAST(:model AS text), CAST(v.embedding AS vector)
      FROM unnest(CAST(:vectors AS text[])) WITH ORDINALITY AS v (embedding, number)
      JOIN chunks c ON c.document_id = CAST(:id AS bigint) AND c.number = v.number - 1 + CAST(:first AS integer)
""")
