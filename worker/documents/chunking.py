"""Cuts blocks into chunks: whole paragraphs where they fit, else sentences, else words; each overlaps with the next."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from worker.documents.blocks import Block

#: About how long a chunk is, and how much of the one before it begins with, in tokens.
TARGET_TOKENS = 400
OVERLAP_TOKENS = 50
# Each with the blanks after it, so that put together they are what they were.
_SENTENCE = re.compile(r"[^\n]+?(?:(?<=[.!?…。！？])[ \t]+|(?=\n)|$)\n*|\n+")
_WORD = re.compile(r"\S+\s*")


class Chunk(NamedTuple):
    """A piece of a document, with where it begins."""

    text: str
    tokens: int
    page: int | None
    heading: str | None


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    return max(1, (len(text.encode(errors="replace")) + 3) // 4)


def cut(blocks: Iterable[Block]) -> Iterator[Chunk]:
    """The chunks of a document's blocks; a heading begins one where the one before is half full."""
    current: list[Block] = []
    size, begun = 0, 0
    for piece in (piece for block in blocks for piece in _pieces(block)):
        length = tokens(piece.text)
        full = size + length > TARGET_TOKENS or (piece.opens and size > TARGET_TOKENS // 2)
        if len(current) > begun and full:
            yield _chunk(current, begun)
            tail = [] if piece.opens else _tail(current[-1])
            current, begun, size = tail, len(tail), sum(tokens(each.text) for each in tail)
        current.append(piece)
        size += length
    if len(current) > begun:
        yield _chunk(current, begun)


def _chunk(pieces: list[Block], begun: int) -> Chunk:
    first = pieces[begun]
    text = pieces[0].text + "".join(each.glue + each.text for each in pieces[1:])
    return Chunk(text, tokens(text), first.page, first.heading)


def _pieces(block: Block) -> Iterator[Block]:
    """A block in pieces that fit into a chunk beside what that begins with."""
    if tokens(block.text) <= TARGET_TOKENS:
        yield block
        return
    glue = block.glue
    for text in _packed(_sentences(block.text), TARGET_TOKENS - OVERLAP_TOKENS):
        yield block._replace(text=text.strip(), glue=glue)
        glue = "\n" if text.endswith("\n") else " "


def _sentences(text: str) -> Iterator[str]:
    for each in _SENTENCE.findall(text):
        if tokens(each) <= TARGET_TOKENS - OVERLAP_TOKENS:
            yield each
        else:
            yield from _packed(_words(each), TARGET_TOKENS - OVERLAP_TOKENS)


def _words(text: str) -> Iterator[str]:
    # What has no blanks for longer than that is cut wherever it comes.
    longest = TARGET_TOKENS
    for each in _WORD.findall(text):
        yield from (each[at : at + longest] for at in range(0, len(each), longest))


def _packed(texts: Iterable[str], most: int) -> Iterator[str]:
    """Texts put together, up to so many tokens."""
    held: list[str] = []
    size = 0
    for each in texts:
        length = tokens(each)
        if held and size + length > most:
            yield "".join(held)
            held, size = [], 0
        held.append(each)
        size += length
    if "".join(held).strip():
        yield "".join(held)


def _tail(block: Block) -> list[Block]:
    """The last sentences of a block, with which the next chunk begins; none where even one is too long."""
    kept: list[str] = []
    size = 0
    for each in reversed(_SENTENCE.findall(block.text)):
        size += tokens(each)
        if size > OVERLAP_TOKENS:
            break
        kept.append(each)
    text = "".join(reversed(kept)).strip()
    return [block._replace(text=text, opens=False)] if text else []
