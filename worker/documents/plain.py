"""Texts: plain, Markdown, and tables of which each row is told with the names of its columns."""

import codecs
import csv
import io
import re
from collections.abc import Iterator

from worker.documents.blocks import Block, Headings, Unreadable, paragraphs

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LONGEST_FIELD = 1 << 20


def decoded(body: bytes) -> str:
    """The text of a file: by its mark, else as UTF-8, else as what Windows writes in the West."""
    encoding = next((name for mark, name in _MARKS.items() if body.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in body[:4096]:
        raise Unreadable("it is not a text")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        text = body.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(body: bytes) -> Iterator[Block]:
    """Paragraphs of a plain text; a form feed begins a page."""
    pages = decoded(body).split("\f")
    for number, page in enumerate(pages, 1):
        for each in paragraphs(page):
            yield Block(each, number if len(pages) > 1 else None)


def read_markdown(body: bytes) -> Iterator[Block]:
    """Paragraphs of Markdown, under the headings that they stand under; what is fenced holds none."""
    headings, lines, fence = Headings(), list[str](), ""
    for line in [*decoded(body).split("\n"), "# "]:
        marked = _FENCE.match(line)
        if marked and not fence:
            fence = marked[1]
        elif marked and marked[1].startswith(fence):
            fence = ""
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is None and line != "# ":
            lines.append(line)
            continue
        for each in paragraphs("\n".join(lines)):
            yield Block(each, heading=headings.path)
        lines = []
        if heading is not None:
            headings.enter(len(heading[1]), heading[2])
            yield Block(line.strip(), heading=headings.path, opens=True)


def read_rows(body: bytes, delimiter: str | None = None) -> Iterator[Block]:
    """Rows of a table, each as `column: value; column: value`; the first row names the columns."""
    text = decoded(body)
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or _delimiter(text))
        names = [each.strip() for each in next(rows, [])]
        for row in rows:
            told = [(name, each.strip()) for name, each in zip(_columns(names, row), row, strict=True)]
            if line := "; ".join(f"{name}: {value}" for name, value in told if value):
                yield Block(line, glue="\n")
    except csv.Error as error:
        raise Unreadable(f"it is no table: {error}") from error


def _columns(names: list[str], row: list[str]) -> list[str]:
    return [name or f"column {place}" for place, name in enumerate((names + [""] * len(row))[: len(row)], 1)]


def _delimiter(text: str) -> str:
    head = text[:8192].partition("\n")[0]
    return max(",;\t|", key=head.count)
