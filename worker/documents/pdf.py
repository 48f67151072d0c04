"""PDF: the text of each page as pypdf finds it; what is only a picture of a text is not read."""

import io
import re
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from worker.documents.blocks import Block, Unreadable, paragraphs

MOST_PAGES = 2000
# A word that was broken at the end of a line.
_BROKEN = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zà-ÿ])")


def read(body: bytes) -> Iterator[Block]:
    """Paragraphs, with the page that they stand on."""
    try:
        reader = PdfReader(io.BytesIO(body))
        _unlock(reader)
        pages = len(reader.pages)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise Unreadable(f"it is no PDF that can be read: {error}"[:300]) from error
    if pages > MOST_PAGES:
        raise Unreadable(f"it has {pages} pages, more than {MOST_PAGES}")
    for number in range(pages):
        for each in paragraphs(_BROKEN.sub("", _text(reader, number))):
            yield Block(each, number + 1)


def _unlock(reader: PdfReader) -> None:
    # Many are locked against changes alone, with no password for reading.
    try:
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("it is locked with a password")
    except DependencyError as error:
        raise Unreadable("it is locked in a way that cannot be opened here") from error


def _text(reader: PdfReader, number: int) -> str:
    try:
        return reader.pages[number].extract_text()
    except (MemoryError, RecursionError, DependencyError):
        raise
    except Exception as error:
        # A file can be broken in any way, and pypdf meets it with any error.
        raise Unreadable(f"page {number + 1} cannot be read: {error!r}"[:300]) from error
