"""Opaque places in a list; bound to the list's kind, so that one is not used for another."""

import base64
import re

from shared.errors import Fault, Invalid


def write(kind: str, place: str) -> str:
    """A cursor for the page that goes on after a place."""
    return base64.urlsafe_b64encode(f"{kind}:{place}".encode()).decode().rstrip("=")


def read(kind: str, cursor: str) -> str:
    """The place in a cursor; Invalid where it is none of this kind."""
    try:
        found, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except ValueError as error:
        raise _stranger() from error
    if found != kind or "\0" in place:
        raise _stranger()
    return place


def read_id(kind: str, cursor: str) -> int:
    """The place in a cursor of a list that goes by integer ids; Invalid as above."""
    place = read(kind, cursor)
    # Eighteen digits fit the column.
    if not re.fullmatch(r"[0-9]{1,18}", place):
        raise _stranger()
    return int(place)


def _stranger() -> Invalid:
    return Invalid([Fault("cursor", "is no cursor of this list")])
