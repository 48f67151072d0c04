"""Idempotency keys: several requests with one key are one execution, or one batch, as long as anything is known of it.

A key stands for one request, told apart by the fingerprint of its method, path and body (as in the IETF's draft
`draft-ietf-httpapi-idempotency-key-header-07`), and belongs to an organization.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, exc

from shared.errors import Conflict, KeyReused, Repeated
from shared.statements import Statement

#: How long a request waits for the commit of the first one with its key, in seconds.
WAIT_SECONDS = 2
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Once:
    """A request that must have its effect once: its key, and the SHA-256 of what it asks for."""

    key: str
    fingerprint: bytes


def find(connection: Connection, organization_id: int, once: Once) -> UUID | None:
    """Return what a key stands for, None for a new key; KeyReused where the request was another one.

    That is the uuid of an execution, or of a batch where the request asks for one.
    """
    row = _FIND(connection, {"organization": organization_id, "key": once.key}).first()
    if row is None:
        return None
    if bytes(row.fingerprint) != once.fingerprint:
        raise KeyReused
    return UUID(str(row.stands_for))


def first(connection: Connection, accept: Statement, once: Once, values: Mapping[str, Any]) -> Row[Any]:
    """Run the statement that accepts under a key, and return its row; wants a transaction.

    Repeated where another request with the key was first; Conflict where that one does not come to its commit.
    """
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
    keyed = {**values, "idempotency_key": once.key, "fingerprint": once.fingerprint}
    try:
        row = accept(connection, keyed).first()
    except exc.OperationalError as error:
        if getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE:
            raise Conflict("the first request with this Idempotency-Key is still under way") from error
        raise
    if row is None:
        raise Repeated
    return row


_FIND = Statement("""
    SELECT fingerprint, coalesce(execution_uuid, batch_uuid) AS stands_for
      FROM idempotency WHERE organization_id = :organization AND key = :key
""")
