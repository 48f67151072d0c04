"""Knowledge: folders, documents, and what is found in them."""

from marshmallow import fields, validate

from api.schemas.pages import SHORT, Page
from shared import document_types, passages
from shared.kinds import HANDLE, Strict, Whole
from shared.knowledge import LONGEST_NAME

_HANDLE = validate.Regexp(HANDLE)
_NAME = validate.Length(min=1, max=LONGEST_NAME)
STATUSES = ("pending", "ready", "failed")
_STATUS = validate.OneOf(STATUSES)


class Tags(fields.List[str]):
    """Tags of a document, or those that it must have."""

    def __init__(self, **options: object) -> None:
        each = fields.String(validate=validate.Length(min=1, max=100))
        super().__init__(each, validate=validate.Length(max=50), **options)  # type: ignore[arg-type]


class PutFolder(Strict):
    """Body that makes a folder, or names it anew."""

    name = fields.String(required=True, validate=_NAME, metadata={"description": "For people; the handle stays."})


class Folder(Strict):
    """A folder and what is in it."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    name = fields.String(required=True)
    status = fields.String(
        required=True,
        validate=_STATUS,
        metadata={"description": "`pending` while a document is, `failed` where each of them failed, else `ready`."},
    )
    documents = fields.Integer(required=True)
    pending = fields.Integer(required=True, metadata={"description": "Documents that are not read yet."})
    failed = fields.Integer(required=True, metadata={"description": "Documents that could not be read."})
    chunks = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)


class Folders(Strict):
    """A page of folders, oldest first."""

    folders = fields.List(fields.Nested(Folder), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class AddDocument(Strict):
    """Body that hands a text in as a document."""

    folder = fields.String(required=True, validate=_HANDLE, metadata={"description": "The folder's handle."})
    name = fields.String(required=True, validate=_NAME, metadata={"description": "As of a file: `returns.md`."})
    text = fields.String(required=True, validate=validate.Length(min=1))
    mime_type = fields.String(
        load_default="text/plain",
        validate=validate.OneOf([each for each in document_types.TYPES if each.startswith("text/")]),
        metadata={"description": "What the text is, where its name does not say."},
    )
    tags = Tags(load_default=list)
    metadata = fields.Dict(keys=fields.String(), load_default=dict, validate=validate.Length(max=50))


class UploadDocuments(Strict):
    """Form that hands files in as documents: every part with a file name is one, whatever the part is called."""

    folder = fields.String(required=True, validate=_HANDLE, metadata={"description": "The folder's handle."})
    tags = Tags(load_default=list, metadata={"description": "Of all of them; a part for each."})
    files = fields.List(
        fields.String(metadata={"format": "binary"}),
        metadata={"description": f"Files: {document_types.NAMES}; 20 at most."},
    )


class ChangeDocument(Strict):
    """Body that changes what is said of a document; what is left out stays."""

    tags = Tags()
    metadata = fields.Dict(keys=fields.String(), validate=validate.Length(max=50))


class Document(Strict):
    """A document, without its text."""

    uuid = fields.UUID(required=True)
    folder = fields.String(required=True)
    name = fields.String(required=True)
    mime_type = fields.String(required=True)
    bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True, metadata={"description": "Of what was handed in, in hexadecimal."})
    tags = fields.List(fields.String(), required=True)
    metadata = fields.Dict(required=True)
    status = fields.String(required=True, validate=_STATUS)
    error = fields.String(required=True, allow_none=True, metadata={"description": "Why it could not be read."})
    chunks = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    ended_at = fields.DateTime(required=True, allow_none=True)


class AddedDocuments(Strict):
    """The documents that were handed in; a worker reads them."""

    documents = fields.List(fields.Nested(Document), required=True)


class ListDocuments(Page):
    """Query of the list of documents."""

    folder = fields.String(validate=SHORT, metadata={"description": "The folder's handle."})
    status = fields.String(validate=_STATUS)
    tag = fields.List(
        fields.String(validate=SHORT), load_default=list, metadata={"description": "May be given often: all of them."}
    )


class Documents(Strict):
    """A page of documents, newest first."""

    documents = fields.List(fields.Nested(Document), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class SearchKnowledge(Strict):
    """Body of a search."""

    query = fields.String(required=True, validate=validate.Length(min=1, max=passages.LONGEST_QUERY))
    folders = fields.List(
        fields.String(validate=_HANDLE),
        load_default=list,
        validate=validate.Length(max=50),
        metadata={"description": "Handles; all folders where none is named."},
    )
    tags = Tags(load_default=list, metadata={"description": "Only documents that have all of them."})
    limit = Whole(load_default=5, validate=validate.Range(min=1, max=passages.MOST))


class FoundChunk(Strict):
    """A chunk that was found."""

    document = fields.UUID(required=True)
    name = fields.String(required=True, metadata={"description": "The document's."})
    folder = fields.String(required=True)
    number = fields.Integer(required=True, metadata={"description": "Its place in the document, from 0."})
    page = fields.Integer(required=True, allow_none=True, metadata={"description": "Where it begins, in a PDF."})
    heading = fields.String(required=True, allow_none=True, metadata={"description": "The headings it stands under."})
    text = fields.String(required=True)
    tokens = fields.Integer(required=True, metadata={"description": "About how many it has."})
    score = fields.Float(required=True, metadata={"description": "Compares inside of one answer only."})


class FoundChunks(Strict):
    """The chunks that fit best, best first."""

    chunks = fields.List(fields.Nested(FoundChunk), required=True)
