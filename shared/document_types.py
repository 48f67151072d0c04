"""The types of documents that can be read, told by a file's name, else by what its sender says that it is."""

from pathlib import PurePath

#: Content type → the ends of names that stand for it.
TYPES = {
    "text/plain": (".txt", ".text"),
    "text/csv": (".csv",),
    "text/tab-separated-values": (".tsv",),
    "text/markdown": (".md", ".markdown"),
    "text/html": (".html", ".htm"),
    "application/pdf": (".pdf",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
}
_BY_NAME = {ending: mime_type for mime_type, endings in TYPES.items() for ending in endings}
#: As a message lists them.
NAMES = ", ".join(endings[0] for endings in TYPES.values())


def of(name: str, mime_type: str | None) -> str | None:
    """The content type of a document; None where nothing here can read it.

    The name goes first: browsers and tools say `application/octet-stream` of what they do not know.
    """
    said = (mime_type or "").partition(";")[0].strip().lower()
    return _BY_NAME.get(PurePath(name).suffix.lower()) or (said if said in TYPES else None)
