"""Tokens that let a browser read the stream of one thread: signed, good for minutes, and stored nowhere."""

import base64
import binascii
import hashlib
import hmac
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import Conflict, Unauthorized

PREFIX = "strata_stream_"
_VERSION = 1
# Version, organization, thread, and until when in seconds since 1970; a signature comes behind it.
_GRANT = struct.Struct(">BQ16sQ")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets its bearer read, and until when."""

    organization_id: int
    thread: UUID
    expires_at: datetime


def mint(keys: Sequence[str], organization_id: int, thread: UUID, *, seconds: float) -> tuple[str, Grant]:
    """Make a token with the first key; Conflict where there is no key to sign with."""
    if not keys:
        raise Conflict("this server cannot sign stream tokens: STRATA_SECRET_KEYS is not set")
    until = int(time.time() + seconds)
    written = _GRANT.pack(_VERSION, organization_id, thread.bytes, until)
    return _text(written + _signature(keys[0], written)), Grant(
        organization_id, thread, datetime.fromtimestamp(until, UTC)
    )


def read(keys: Sequence[str], token: str) -> Grant:
    """What a token that was signed with any of the keys grants; Unauthorized where it is none, or its time is over."""
    signed = _bytes(token)
    written, signature = signed[: _GRANT.size], signed[_GRANT.size :]
    if not any(hmac.compare_digest(_signature(key, written), signature) for key in keys):
        raise Unauthorized("missing or invalid stream token")
    version, organization_id, thread, until = _GRANT.unpack(written)
    if version != _VERSION or until <= time.time():
        raise Unauthorized("the stream token has expired")
    return Grant(organization_id, UUID(bytes=thread), datetime.fromtimestamp(until, UTC))


def _bytes(token: str) -> bytes:
    text = token.removeprefix(PREFIX)
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        found = b""
    # The last character has bits that say nothing: what was written otherwise is no token of ours.
    if len(found) != _GRANT.size + hashlib.sha256().digest_size or _text(found) != token:
        raise Unauthorized("missing or invalid stream token")
    return found


def _text(signed: bytes) -> str:
    return PREFIX + base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _signature(key: str, written: bytes) -> bytes:
    derived = HKDF(SHA256(), 32, None, b"strata\0stream token").derive(key.encode())
    return hmac.digest(derived, written, "sha256")
