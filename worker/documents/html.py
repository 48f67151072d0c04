"""Web pages: the text that a reader would see, a block for each element that stands by itself."""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag

from worker.documents.blocks import Block, Headings, paragraphs

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer form header"  # noqa: SIM905
    " hr li main nav ol p pre section summary table td tbody tfoot th thead title tr ul".split()
) | set(_HEADINGS)
_CELLS = frozenset({"td", "th"})
_UNSEEN = frozenset("head script style noscript template svg canvas iframe object select datalist".split())  # noqa: SIM905


def read(body: bytes) -> Iterator[Block]:
    """Blocks of a page, under the headings that they stand under; its title comes first."""
    page = BeautifulSoup(body, "lxml")
    headings = Headings()
    if page.title is not None and (title := _plain(page.title.get_text())):
        headings.enter(0, title)
        yield Block(title, heading=headings.path, opens=True)
    for element, text in _grouped(page.body or page):
        if not (told := _told(element, text)):
            continue
        level = _HEADINGS.get(element.name)
        if level is not None:
            headings.enter(level, told)
            yield Block(told, heading=headings.path, opens=True)
        else:
            yield from (Block(each, heading=headings.path) for each in paragraphs(told))


def _grouped(page: Tag) -> Iterator[tuple[Tag, str]]:
    """Texts that follow each other in the same element, with that element."""
    around: Tag | None = None
    texts: list[str] = []
    for each in page.descendants:
        if isinstance(each, Tag):
            if each.name == "br":
                texts.append("\n")
            elif each.name in _CELLS and texts:
                texts.append(" | ")
            continue
        # Comments, scripts and styles are texts of other classes.
        if type(each) is not NavigableString or (element := _block(each)) is None:
            continue
        if around is not None and element is not around:
            yield around, "".join(texts)
            texts = []
        around = element
        texts.append(str(each))
    if around is not None:
        yield around, "".join(texts)


def _block(text: NavigableString) -> Tag | None:
    """The nearest element around a text that stands by itself, a cell standing in its row; None for what is unseen."""
    found: Tag | None = None
    for each in text.parents:
        if each.name in _UNSEEN:
            return None
        if found is None and each.name in _BLOCKS and each.name not in _CELLS:
            found = each
    return found or text.parent


def _told(element: Tag, text: str) -> str:
    if element.name == "pre":
        return text.strip("\n")
    lines = (_plain(line) for line in text.split("\n")) if "\n" in text and element.find("br") else [_plain(text)]
    return "\n".join(line for line in lines if line).strip(" |\n")


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
