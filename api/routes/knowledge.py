"""`/v2/knowledge`: folders, the documents in them, and what is found there."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request

from api import cursors, parsing, schemas, uploads
from api.endpoint import Form, Text, answer, endpoint
from shared import audit, db, definition, knowledge, passages
from shared.clock import rfc3339
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.keys import Caller
from shared.knowledge import Document, Folder

blueprint = Blueprint("knowledge", __name__, url_prefix="/v2/knowledge")

_PUT_FOLDER = schemas.PutFolder()
_ADD = schemas.AddDocument()
_UPLOAD = schemas.UploadDocuments()
_CHANGE = schemas.ChangeDocument()
_SEARCH = schemas.SearchKnowledge()


@blueprint.get("/folders")
@endpoint(scope="read", query=schemas.Page(), answers={200: schemas.Folders()})
def list_folders(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the folders, oldest first."""
    after = cursors.read_id("folders", query["cursor"]) if "cursor" in query else None
    with db.autocommit() as connection:
        found = knowledge.list_folders(connection, caller.organization_id, after=after, limit=query["limit"] + 1)
    page, more = found[: query["limit"]], len(found) > query["limit"]
    cursor = cursors.write("folders", str(page[-1].id)) if more else None
    return answer({"folders": [_folder(each) for each in page], "next_cursor": cursor})


@blueprint.put("/folders/<folder>")
@endpoint(
    scope="manage",
    body=_PUT_FOLDER,
    answers={200: schemas.Folder(), 201: schemas.Folder()},
    example={"name": "Product manuals"},
)
def put_folder(folder: str, caller: Caller) -> Response:
    """Make a folder, or name it anew: 201 where it is new."""
    if not definition.is_handle(folder):
        raise Invalid([Fault("folder", "must be small letters, digits and hyphens, a letter first, 63 at most")])
    name = parsing.body(_PUT_FOLDER).checked()["name"]
    with db.transaction() as connection:
        new = knowledge.put_folder(connection, caller.organization_id, folder, name)
        audit.note(connection, caller, "folder.created" if new else "folder.renamed", folder, name=name)
        found = knowledge.folder(connection, caller.organization_id, folder)
    return answer(_folder(found), 201 if new else 200)


@blueprint.get("/folders/<folder>")
@endpoint(scope="read", answers={200: schemas.Folder()})
def show_folder(folder: str, caller: Caller) -> Response:
    """Show a folder."""
    with db.autocommit() as connection:
        return answer(_folder(knowledge.folder(connection, caller.organization_id, folder)))


@blueprint.delete("/folders/<folder>")
@endpoint(scope="manage", answers={204: "The folder is gone, with all of its documents."})
def delete_folder(folder: str, caller: Caller) -> Response:
    """Delete a folder with all of its documents, for good."""
    with db.transaction() as connection:
        knowledge.delete_folder(connection, caller.organization_id, folder)
        audit.note(connection, caller, "folder.deleted", folder)
    return Response(status=204)


@blueprint.post("/documents")
@endpoint(
    scope="manage",
    body=_ADD,
    form=Form(_UPLOAD, {"folder": "product-manuals", "tags": ["en"], "files": ["(a file)"]}),
    answers={202: schemas.AddedDocuments(), 404: schemas.Problem()},
    example={"folder": "product-manuals", "name": "returns.md", "text": "# Returns\n\nBroken lamps are replaced."},
)
def add_documents(caller: Caller) -> Response:
    """Hand documents in: a text as JSON, or files as a form. A worker reads them; until then they are `pending`."""
    handed_in = _uploaded() if request.mimetype == uploads.FORM else _text()
    with db.transaction() as connection:
        added = [knowledge.add(connection, caller.organization_id, **each) for each in handed_in]
        for each in added:
            audit.note(connection, caller, "document.added", str(each.uuid), folder=each.folder, name=each.name)
    return answer({"documents": [_document(each) for each in added]}, 202)


@blueprint.get("/documents")
@endpoint(scope="read", query=schemas.ListDocuments(), answers={200: schemas.Documents()})
def list_documents(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List documents, newest first."""
    with db.autocommit() as connection:
        found = knowledge.list_documents(
            connection,
            caller.organization_id,
            folder=query.get("folder"),
            status=query.get("status"),
            tags=query["tag"],
            before=cursors.read_id("documents", query["cursor"]) if "cursor" in query else None,
            limit=query["limit"] + 1,
        )
    page, more = found[: query["limit"]], len(found) > query["limit"]
    cursor = cursors.write("documents", str(page[-1].id)) if more else None
    return answer({"documents": [_document(each) for each in page], "next_cursor": cursor})


@blueprint.get("/documents/<document>")
@endpoint(scope="read", answers={200: schemas.Document()})
def show_document(document: str, caller: Caller) -> Response:
    """Show a document."""
    with db.autocommit() as connection:
        return answer(_document(knowledge.document(connection, caller.organization_id, _uuid(document))))


@blueprint.get("/documents/<document>/text")
@endpoint(
    scope="read",
    answers={
        200: Text("The text that was found in it.", "text/plain", "# Returns\n\nBroken lamps are replaced."),
        409: schemas.Problem(),
    },
)
def show_text(document: str, caller: Caller) -> Response:
    """Show the text that was found in a document: 409 where it is not read yet, or could not be."""
    with db.autocommit() as connection:
        found = knowledge.text(connection, caller.organization_id, _uuid(document))
    if found is None:
        raise Conflict("the document has no text: it is not read yet, or could not be")
    return Response(found, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


@blueprint.patch("/documents/<document>")
@endpoint(scope="manage", body=_CHANGE, answers={200: schemas.Document()}, example={"tags": ["en", "2026"]})
def change_document(document: str, caller: Caller) -> Response:
    """Change the tags or the metadata of a document."""
    changes = parsing.body(_CHANGE).checked()
    with db.transaction() as connection:
        knowledge.change(connection, caller.organization_id, _uuid(document), **changes)
        audit.note(connection, caller, "document.changed", document, changed=sorted(changes))
        found = knowledge.document(connection, caller.organization_id, _uuid(document))
    return answer(_document(found))


@blueprint.delete("/documents/<document>")
@endpoint(scope="manage", answers={204: "The document is gone, with its chunks."})
def delete_document(document: str, caller: Caller) -> Response:
    """Delete a document and its chunks, for good."""
    with db.transaction() as connection:
        knowledge.delete_document(connection, caller.organization_id, _uuid(document))
        audit.note(connection, caller, "document.deleted", document)
    return Response(status=204)


@blueprint.post("/search")
@endpoint(
    scope="read",
    body=_SEARCH,
    answers={200: schemas.FoundChunks(), 404: schemas.Problem()},
    example={"query": "Are broken lamps replaced?", "folders": ["product-manuals"]},
)
def search(caller: Caller) -> Response:
    """Search by words: the chunks that fit best. Layers and tools search by meaning too where a model is set for it."""
    asked = parsing.body(_SEARCH).checked()
    with db.autocommit() as connection:
        found = passages.search(connection, caller.organization_id, **asked)
    return answer({"chunks": [asdict(each) for each in found]})


def _text() -> list[dict[str, Any]]:
    found = dict(parsing.body(_ADD).checked())
    body = found.pop("text").encode()
    return [{**found, "body": body}]


def _uploaded() -> list[dict[str, Any]]:
    files, fields = uploads.read()
    tags = fields.get("tags", [])
    said = parsing.load(_UPLOAD, {**fields, "tags": [tags] if isinstance(tags, str) else tags}).checked()
    return [
        {
            "folder": said["folder"],
            "tags": said["tags"],
            "name": each.name,
            "mime_type": each.mime_type,
            "body": each.body,
        }
        for each in files
    ]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound("document") from error


def _folder(each: Folder) -> dict[str, Any]:
    return {
        "handle": each.handle,
        "uuid": str(each.uuid),
        "name": each.name,
        "status": each.status,
        "documents": each.documents,
        "pending": each.pending,
        "failed": each.failed,
        "chunks": each.chunks,
        "created_at": rfc3339(each.created_at),
    }


def _document(each: Document) -> dict[str, Any]:
    return {
        "uuid": str(each.uuid),
        "folder": each.folder,
        "name": each.name,
        "mime_type": each.mime_type,
        "bytes": each.size_bytes,
        "sha256": each.digest.hex(),
        "tags": each.tags,
        "metadata": each.metadata,
        "status": each.status,
        "error": each.error,
        "chunks": each.chunks,
        "created_at": rfc3339(each.created_at),
        "ended_at": rfc3339(each.ended_at),
    }
