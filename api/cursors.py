"""Opaque places in a list; bound to the list's kind, so that one is not used for another."""

import base64
import binascii

from shared.errors import Fault, Invalid


def write(kind: str, place: str) -> str:
    """A cursor for the page that goes on after a place."""
    return base64.urlsafe_b64encode(f"{kind}:{place}".encode()).decode().rstrip("=")


def read(kind: str, cursor: str) -> str:
    """The place in a cursor; Invalid where it is none of this kind."""
    try:
        found, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except (binascii.Error, UnicodeError) as error:
        raise Invalid([Fault("cursor", "is no cursor of this list")]) from error
    if found != kind:
        raise Invalid([Fault("cursor", "is no cursor of this list")])
    return place
