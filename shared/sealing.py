"""Seals secrets for storage: AES-256-GCM, each with a key of its own.

The keys of the settings are never used as they are: the key of one secret comes of one of them, a random salt and the
secret's context (RFC 5869). So what was sealed for one organization or purpose cannot be opened as another's, however
it was moved there.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import Conflict, SealBroken

#: The shortest key in characters; 32 random bytes in base64 have 44.
LEAST_CHARACTERS = 32
# A sealed secret: version, which key, salt, nonce, ciphertext with its tag.
_VERSION = b"\x01"
_ID_BYTES, _SALT_BYTES, _NONCE_BYTES = 8, 32, 12
_HEAD_BYTES = len(_VERSION) + _ID_BYTES + _SALT_BYTES
#: By how much a sealed secret is longer than the secret in UTF-8.
OVERHEAD_BYTES = _HEAD_BYTES + _NONCE_BYTES + 16


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals with the first of its keys, and opens what was sealed with any."""

    keys: Sequence[str] = field(repr=False)

    def seal(self, secret: str, context: str) -> bytes:
        """Seal a secret for what its context says it is; Conflict where there is no key to seal with."""
        if not self.keys:
            raise Conflict("this server cannot keep secrets: STRATA_SECRET_KEYS is not set")
        head = _VERSION + _identity(self.keys[0]) + secrets.token_bytes(_SALT_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (
            head + nonce + _cipher(self.keys[0], head, context).encrypt(nonce, secret.encode(), _bound(head, context))
        )

    def open(self, sealed: bytes, context: str) -> str:
        """Open what was sealed for the same context; SealBroken where its key is not here, or it was changed."""
        head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        key = next((each for each in self.keys if head.startswith(_VERSION + _identity(each))), None)
        if key is None or len(nonce) < _NONCE_BYTES:
            raise SealBroken("sealed with a key that is not among STRATA_SECRET_KEYS")
        try:
            opened = _cipher(key, head, context).decrypt(nonce, sealed[len(head + nonce) :], _bound(head, context))
        except InvalidTag as error:
            raise SealBroken("sealed for something else, or changed since") from error
        return opened.decode()

    def is_current(self, sealed: bytes) -> bool:
        """True for what was sealed with the first key."""
        return bool(self.keys) and sealed.startswith(_VERSION + _identity(self.keys[0]))


def _cipher(key: str, head: bytes, context: str) -> AESGCM:
    return AESGCM(_derived(key, b"seal\0" + context.encode(), length=32, salt=head[-_SALT_BYTES:]))


def _identity(key: str) -> bytes:
    """Tells keys apart, and tells nothing of them."""
    return _derived(key, b"identity", length=_ID_BYTES)


def _derived(key: str, purpose: bytes, *, length: int, salt: bytes = b"") -> bytes:
    return HKDF(SHA256(), length, salt or None, b"strata\0" + purpose).derive(key.encode())


def _bound(head: bytes, context: str) -> bytes:
    return head + context.encode()
