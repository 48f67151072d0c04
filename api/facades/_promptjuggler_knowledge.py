"""PromptJuggler's knowledge bases, which are folders, and their documents."""

import re
from typing import Any
from uuid import UUID

from flask import Blueprint, Response
from sqlalchemy import Connection

from api import auth, uploads
from api.endpoint import Form, answer, described
from api.facades import _promptjuggler_answers as answers
from api.uploads import Upload
from shared import audit, db, knowledge
from shared.errors import NotFound
from shared.keys import Caller
from shared.knowledge import Document

_BASE, _DOCUMENT = "knowledge base", "knowledge document"
# As PHP writes the items of a list; a part called `files` is one value, and no list.
_PART = re.compile(r"files\[\d{0,4}\]")
_FAILURES = {status: answers.Failed() for status in (401, 403, 404, 503)}


def folder_uuid(connection: Connection, organization_id: int, handle: str) -> UUID:
    """The uuid of a folder; NotFound."""
    return knowledge.folder(connection, organization_id, handle).uuid


def add_to(blueprint: Blueprint) -> None:
    """Add the views to the wire's blueprint."""
    blueprint.get("/api/v1/knowledge-bases/<folder>")(get_base)
    blueprint.post("/api/v1/knowledge-bases/<folder>/documents")(upload)
    blueprint.get("/api/v1/knowledge-documents/<document>")(get_document)
    blueprint.delete("/api/v1/knowledge-documents/<document>")(delete_document)


@described(scope="read", answers={200: answers.KnowledgeBase(), **_FAILURES})
def get_base(folder: str) -> Response:
    """Show a knowledge base with its documents."""
    caller = auth.caller("read")
    handle = _handle(folder)
    try:
        with db.autocommit() as connection:
            found = knowledge.folder(connection, caller.organization_id, handle)
            listed = knowledge.list_documents(connection, caller.organization_id, folder=handle, limit=None)
    except NotFound as missing:
        raise NotFound(_BASE) from missing
    return answer({
        "id": str(found.uuid),
        "status": found.status,
        "documentCount": found.documents,
        "chunkCount": found.chunks,
        "documents": [{**_summary(each), "mimeType": each.mime_type} for each in reversed(listed)],
    })


@described(
    scope="manage",
    form=Form(answers.Upload(), {"files[0]": "@returns.md"}),
    answers={200: answers.KnowledgeDocument(many=True), **_FAILURES}
    | {status: answers.Failed() for status in (400, 413, 415, 422)},
)
def upload(folder: str) -> Response:
    """Hand documents in to a knowledge base: all of them, or where one cannot be read here none.

    They are processed in the background.
    """
    caller = auth.caller("manage")
    handle = _handle(folder)
    try:
        with db.autocommit() as connection:
            knowledge.folder(connection, caller.organization_id, handle)
        # What it is for is there, so that it is worth reading.
        files, _ = uploads.read(_PART)
        with db.transaction() as connection:
            found = [_added(connection, caller, handle, each) for each in files]
    except NotFound as missing:
        raise NotFound(_BASE) from missing
    return answer([_document(each) for each in found])


@described(scope="read", answers={200: answers.KnowledgeDocument(), **_FAILURES})
def get_document(document: str) -> Response:
    """Show how far a document is."""
    caller = auth.caller("read")
    uuid = _uuid(document)
    try:
        with db.autocommit() as connection:
            return answer(_document(knowledge.document(connection, caller.organization_id, uuid)))
    except NotFound as missing:
        raise NotFound(_DOCUMENT) from missing


@described(scope="manage", answers={204: "It is gone, with its chunks.", **_FAILURES})
def delete_document(document: str) -> Response:
    """Delete a document and its chunks, for good."""
    caller = auth.caller("manage")
    uuid = _uuid(document)
    try:
        with db.transaction() as connection:
            knowledge.delete_document(connection, caller.organization_id, uuid)
            audit.note(connection, caller, "document.deleted", str(uuid))
    except NotFound as missing:
        raise NotFound(_DOCUMENT) from missing
    return Response(status=204)


def _added(connection: Connection, caller: Caller, handle: str, file: Upload) -> Document:
    found = knowledge.add(connection, caller.organization_id, handle, file.name, file.mime_type, file.body)
    audit.note(connection, caller, "document.added", str(found.uuid), folder=handle, name=file.name)
    return found


def _summary(found: Document) -> dict[str, Any]:
    return {"id": str(found.uuid), "status": found.status, "fileName": found.name, "bytes": found.size_bytes}


def _document(found: Document) -> dict[str, Any]:
    return {**_summary(found), "chunkCount": found.chunks}


def _handle(folder: str) -> str:
    """The handle of a base; with its prefix or without it is the same."""
    return folder.removeprefix("kb_")


def _uuid(document: str) -> UUID:
    try:
        return UUID(document)
    except ValueError as missing:
        raise NotFound(_DOCUMENT) from missing
