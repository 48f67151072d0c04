"""Word documents: paragraphs and tables of the body; headers, footers, notes and comments are left out."""

import io
import re
import zipfile
from collections.abc import Iterator

import docx
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table
from docx.text.paragraph import Paragraph

from worker.documents.blocks import Block, Headings, Unreadable

MOST_UNPACKED_BYTES = 200 << 20
_MOST_PARTS = 10_000
_HEADING = re.compile(r"(?:Heading |heading )([1-9])|(Title)")


def read(body: bytes) -> Iterator[Block]:
    """Paragraphs under the headings that they stand under, and a block for each row of a table."""
    _check(body)
    try:
        found = docx.Document(io.BytesIO(body))
        headings = Headings()
        for each in found.iter_inner_content():
            yield from _paragraph(each, headings) if isinstance(each, Paragraph) else _rows(each, headings)
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError, AttributeError, SyntaxError) as error:
        raise Unreadable(f"it is no Word document that can be read: {error}"[:300]) from error


def _check(body: bytes) -> None:
    """Refuse what would unpack to too much, before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as package:
            parts = package.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable(f"it is no Word document: {error}"[:300]) from error
    if len(parts) > _MOST_PARTS or sum(each.file_size for each in parts) > MOST_UNPACKED_BYTES:
        raise Unreadable(f"it unpacks to more than {MOST_UNPACKED_BYTES >> 20} MB")


def _paragraph(found: Paragraph, headings: Headings) -> Iterator[Block]:
    text = found.text.strip()
    if not text:
        return
    style = _HEADING.match((found.style.name if found.style else None) or "")
    if style is not None:
        headings.enter(int(style[1] or 0), text)
    yield Block(text, heading=headings.path, opens=style is not None)


def _rows(found: Table, headings: Headings) -> Iterator[Block]:
    for row in found.rows:
        # A cell over several columns is given once for each of them.
        cells = {id(each._tc): each.text.strip() for each in row.cells}
        if line := " | ".join(each for each in cells.values() if each):
            yield Block(line, heading=headings.path, glue="\n")
