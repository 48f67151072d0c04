"""What readers give: paragraphs, rows and headings, each with where it stands."""

import re
from typing import NamedTuple

#: Of one heading, and of all that a place stands under, in characters.
_LONGEST_HEADING, _LONGEST_PATH = 120, 400


class Unreadable(Exception):
    """A file that cannot be read; the text says why, for whoever handed it in."""


class Block(NamedTuple):
    """A piece of text that belongs together; `glue` is what stands between it and the block before."""

    text: str
    page: int | None = None
    heading: str | None = None
    #: True for a heading itself: what comes from here on is about something else.
    opens: bool = False
    glue: str = "\n\n"


class Headings:
    """The headings that a place stands under, the outermost first."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def enter(self, level: int, text: str) -> None:
        """A heading of a level ends those of the same and of deeper ones."""
        self._open = [each for each in self._open if each[0] < level]
        self._open.append((level, text[:_LONGEST_HEADING]))

    @property
    def path(self) -> str | None:
        """As a reader is told it: `Returns > Damaged items`."""
        return " > ".join(text for _, text in self._open)[:_LONGEST_PATH] or None


def paragraphs(text: str) -> list[str]:
    """The parts of a text between blank lines."""
    return [each.strip("\n") for each in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text) if each.strip()]
