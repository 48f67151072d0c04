"""Knowledge: folders of an organization, and documents that are handed in, read, cut into chunks and searched.

A document is `pending` until a worker has read it (`intake`), then `ready` to be searched (`passages`), or `failed`.
Handing in the same file again makes another document.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared import broker, db, document_types, strict_json
from shared.errors import Fault, Invalid, NotFound
from shared.models.knowledge import document_bodies, documents, folders
from shared.statements import Statement

#: The queue of documents that are to be read.
QUEUE = "documents"
#: Of a document's name, in characters.
LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, with how many documents it has, how many of them are read no more, and their chunks.

    It is `pending` while a document is, `failed` where every one of them failed, else `ready`.
    """

    id: int
    uuid: UUID
    handle: str
    name: str
    created_at: datetime
    documents: int
    pending: int
    failed: int
    chunks: int

    @property
    def status(self) -> str:
        """What of its documents can be searched."""
        if self.pending:
            return "pending"
        return "failed" if self.documents and self.failed == self.documents else "ready"


@dataclass(frozen=True, slots=True)
class Document:
    """A document, without its content; `digest` is the SHA-256 of what was handed in, `error` says why it failed."""

    id: int
    uuid: UUID
    folder: str
    name: str
    mime_type: str
    size_bytes: int
    digest: bytes
    tags: list[str]
    metadata: dict[str, Any]
    status: str
    error: str | None
    chunks: int
    created_at: datetime
    ended_at: datetime | None


def put_folder(connection: Connection, organization_id: int, handle: str, name: str) -> bool:
    """Make a folder, or name it anew; True where it is new."""
    made = upsert(folders).values(organization_id=organization_id, handle=handle, name=name)
    row = connection.execute(made.on_conflict_do_nothing().returning(folders.c.id)).first()
    if row is None:
        connection.execute(
            update(folders)
            .where(folders.c.organization_id == organization_id, folders.c.handle == handle)
            .values(name=name)
        )
    return row is not None


def folder(connection: Connection, organization_id: int, handle: str) -> Folder:
    """A folder by its handle; NotFound."""
    found = _FOLDERS(connection, {**_EVERY_FOLDER, "organization": organization_id, "handle": handle}).first()
    if found is None:
        raise NotFound("folder")
    return Folder(**found._asdict())


def list_folders(
    connection: Connection, organization_id: int, *, after: int | None = None, limit: int = 50
) -> list[Folder]:
    """The folders of an organization, oldest first, after an id."""
    wanted = {**_EVERY_FOLDER, "organization": organization_id, "after": after, "limit": limit}
    return [Folder(**row._asdict()) for row in _FOLDERS(connection, wanted)]


def delete_folder(connection: Connection, organization_id: int, handle: str) -> None:
    """Delete a folder with all of its documents, for good; NotFound."""
    gone = delete(folders).where(folders.c.organization_id == organization_id, folders.c.handle == handle)
    if not connection.execute(gone).rowcount:
        raise NotFound("folder")


def add(
    connection: Connection,
    organization_id: int,
    folder: str,
    name: str,
    mime_type: str | None,
    body: bytes,
    *,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Document:
    """Hand a document in to a folder; a worker reads it. NotFound; Invalid where nothing here reads its type."""
    into = _FOLDER_ID(connection, {"organization": organization_id, "handle": folder}).scalar()
    if into is None:
        raise NotFound("folder")
    uuid = connection.execute(
        insert(documents)
        .values(
            organization_id=organization_id,
            folder_id=into,
            name=strict_json.clean(name),
            mime_type=_checked(name, mime_type, body),
            bytes=len(body),
            hash=hashlib.sha256(body).digest(),
            tags=sorted(set(tags)),
            metadata=dict(metadata or {}),
        )
        .returning(documents.c.uuid, documents.c.id)
    ).one()
    connection.execute(insert(document_bodies).values(document_id=uuid.id, body=body))
    db.after_commit(broker.permit, QUEUE)
    return document(connection, organization_id, uuid.uuid)


def document(connection: Connection, organization_id: int, uuid: UUID) -> Document:
    """A document; NotFound."""
    found = _DOCUMENTS(connection, {**_EVERY_DOCUMENT, "organization": organization_id, "uuid": uuid}).first()
    if found is None:
        raise NotFound("document")
    return _document(found)


def list_documents(
    connection: Connection,
    organization_id: int,
    *,
    folder: str | None = None,
    status: str | None = None,
    tags: Sequence[str] = (),
    before: int | None = None,
    limit: int | None = 50,
) -> list[Document]:
    """Documents, newest first, below an id; those that have all of some tags. None is no limit."""
    wanted = {
        **_EVERY_DOCUMENT,
        "organization": organization_id,
        "folder": folder,
        "status": status,
        "tags": list(tags),
        "before": before,
        "limit": limit,
    }
    return [_document(row) for row in _DOCUMENTS(connection, wanted)]


def text(connection: Connection, organization_id: int, uuid: UUID) -> str | None:
    """The text that was found in a document, None where it is not read yet or could not be; NotFound."""
    found = _TEXT(connection, {"organization": organization_id, "uuid": uuid}).first()
    if found is None:
        raise NotFound("document")
    written: str | None = found.text
    return written


def change(
    connection: Connection,
    organization_id: int,
    uuid: UUID,
    *,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Change tags or metadata of a document, None for what stays; NotFound."""
    given: dict[str, Any] = {} if tags is None else {"tags": sorted(set(tags))}
    given |= {} if metadata is None else {"metadata": dict(metadata)}
    if not given:
        document(connection, organization_id, uuid)
        return
    changed = update(documents).where(documents.c.organization_id == organization_id, documents.c.uuid == uuid)
    if not connection.execute(changed.values(**given)).rowcount:
        raise NotFound("document")


def delete_document(connection: Connection, organization_id: int, uuid: UUID) -> None:
    """Delete a document and its chunks for good, whatever its state; NotFound."""
    gone = delete(documents).where(documents.c.organization_id == organization_id, documents.c.uuid == uuid)
    if not connection.execute(gone).rowcount:
        raise NotFound("document")


def _document(row: Any) -> Document:
    return Document(**{**row._asdict(), "digest": bytes(row.digest)})


def _checked(name: str, mime_type: str | None, body: bytes) -> str:
    known, shown = document_types.of(name, mime_type), strict_json.clean(name)[:LONGEST_NAME]
    if not 0 < len(name) <= LONGEST_NAME:
        raise Invalid([Fault("file", f"{shown}: must have a name of 1 to {LONGEST_NAME} characters")])
    if known is None:
        raise Invalid([Fault("file", f"{shown}: must be one of {document_types.NAMES}")])
    if not body:
        raise Invalid([Fault("file", f"{shown}: is empty")])
    return known


_EVERY_FOLDER = {"handle": None, "after": None, "limit": None}
_FOLDER_ID = Statement(
    "SELECT id FROM folders WHERE organization_id = :organization AND handle = :handle FOR KEY SHARE"
)
_FOLDERS = Statement("""
    SELECT f.id, f.uuid, f.handle, f.name, f.created_at, d.documents, d.pending, d.failed, d.chunks
      FROM folders f,
           LATERAL (SELECT count(*) AS documents, count(*) FILTER (WHERE status = 'pending') AS pending,
                           count(*) FILTER (WHERE status = 'failed') AS failed,
                           CAST(coalesce(sum(chunks), 0) AS bigint) AS chunks
                      FROM documents WHERE folder_id = f.id) AS d
     WHERE f.organization_id = :organization
       AND (CAST(:handle AS text) IS NULL OR f.handle = :handle)
       AND (CAST(:after AS bigint) IS NULL OR f.id > :after)
     ORDER BY f.id LIMIT CAST(:limit AS integer)
""")
_EVERY_DOCUMENT: dict[str, Any] = {
    **dict.fromkeys(("uuid", "folder", "status", "before", "limit")),
    "tags": [],
}
_DOCUMENTS = Statement("""
    SELECT d.id, d.uuid, f.handle AS folder, d.name, d.mime_type, d.bytes AS size_bytes, d.hash AS digest, d.tags,
           d.metadata, d.status, d.error, d.chunks, d.created_at, d.ended_at
      FROM documents d JOIN folders f ON f.id = d.folder_id
     WHERE d.organization_id = :organization
       AND (CAST(:uuid AS uuid) IS NULL OR d.uuid = :uuid)
       AND (CAST(:folder AS text) IS NULL OR f.handle = :folder)
       AND (CAST(:status AS text) IS NULL OR d.status = :status)
       AND d.tags @> CAST(:tags AS text[])
       AND (CAST(:before AS bigint) IS NULL OR d.id < :before)
     ORDER BY d.id DESC LIMIT CAST(:limit AS integer)
""")
_TEXT = Statement("""
    SELECT b.text FROM documents d JOIN document_bodies b ON b.document_id = d.id
     WHERE d.organization_id IS NOT DISTINCT FROM :organization AND d.uuid = :uuid
""")
