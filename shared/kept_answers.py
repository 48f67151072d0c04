"""Answers of models that are kept for a while, for who asks the very same thing again; by organization."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from shared.statements import Statement


def name(model: str, body: Mapping[str, Any]) -> bytes:
    """What names an answer: SHA-256 of the model (`provider/model`) and the whole request, keys sorted."""
    written = json.dumps([model, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).digest()


def find(connection: Connection, organization_id: int, hashed: bytes) -> str | None:
    """The text of an answer that is kept and has not expired."""
    row = _FIND(connection, {"organization": organization_id, "hash": hashed}).first()
    return row.answer if row else None


def keep(
    connection: Connection, organization_id: int, hashed: bytes, *, model: str, answer: str, seconds: float
) -> None:
    """Keep an answer from now on; one that two have asked for at once is that of the later."""
    values = {"organization": organization_id, "hash": hashed, "model": model, "answer": answer, "seconds": seconds}
    _KEEP(connection, values)


def erase(connection: Connection, *, batch: int = 1000) -> int:
    """Delete what has expired; returns how many, at most a batch."""
    return _ERASE(connection, {"batch": batch}).rowcount


_FIND = Statement("""
    SELECT answer FROM kept_answers
     WHERE organization_id = :organization AND hash = :hash AND expires_at > clock_timestamp()
""")

_KEEP = Statement("""
    INSERT INTO kept_answers (organization_id, hash, answer, model, expires_at)
    VALUES (:organization, CAST(:hash AS bytea), :answer, :model, clock_timestamp() + :seconds * interval '1 second')
    ON CONFLICT (organization_id, hash) DO UPDATE
       SET answer = excluded.answer, model = excluded.model, kept_at = now(), expires_at = excluded.expires_at
""")

_ERASE = Statement("""
    DELETE FROM kept_answers
     WHERE (organization_id, hash) IN
           (SELECT organization_id, hash FROM kept_answers
             WHERE expires_at <= clock_timestamp() LIMIT :batch FOR UPDATE SKIP LOCKED)
""")
