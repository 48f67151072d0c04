"""API keys: `strata_`, 32 random characters, 6 of checksum. Only their SHA-256 is stored; a key is shown once."""

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.errors import NotFound, Unauthorized
from shared.models.organizations import api_keys, organizations
from shared.statements import Statement

PREFIX = "strata_"
SCOPES = ("execute", "read", "manage", "admin")
BOOTSTRAP = "bootstrap"
_ALPHABET = string.digits + string.ascii_letters
_RANDOM = 32
_CHECK = 6
_SHOWN = 12
#: Longer ones are not even hashed.
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """What may come in, of an organization or by one key; None where it says nothing of its own."""

    max_queued: int | None = None
    per_minute: int | None = None

    def or_else(self, default: "Limits") -> "Limits":
        """The limits, those of a default where there are none."""
        return Limits(
            default.max_queued if self.max_queued is None else self.max_queued,
            default.per_minute if self.per_minute is None else self.per_minute,
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an organization, the key it used, what the key may do, and how much of it."""

    organization_id: int
    key_id: int
    scopes: frozenset[str]
    organization_limits: Limits = Limits()
    key_limits: Limits = Limits()
    #: Of the organization when the key was looked at; None where nobody has.
    catalog_version: int | None = None

    def may(self, scope: str) -> bool:
        """True where the key has the scope; `admin` has them all."""
        return scope in self.scopes or "admin" in self.scopes


def create(
    connection: Connection,
    organization_id: int,
    *,
    name: str = "",
    scopes: tuple[str, ...] = ("execute", "read"),
    expires_at: datetime | None = None,
    limits: Limits = Limits(),
) -> str:
    """Make a key and return it, the only time it is seen."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    key = PREFIX + random + _checksum(random)
    connection.execute(
        insert(api_keys).values(
            organization_id=organization_id,
            name=name,
            prefix=key[:_SHOWN],
            hash=_hash(key),
            scopes=list(scopes),
            expires_at=expires_at,
            max_queued=limits.max_queued,
            per_minute=limits.per_minute,
        )
    )
    return key


def identity(connection: Connection, key: str) -> int:
    """The integer id of a key, good or not."""
    return connection.execute(select(api_keys.c.id).where(api_keys.c.hash == _hash(key))).scalar_one()


def well_formed(key: str) -> bool:
    """True where the checksum of a made key holds; a garbled one is refused without a look at the database."""
    random = key[len(PREFIX) : -_CHECK]
    return key.startswith(PREFIX) and len(random) == _RANDOM and key.endswith(_checksum(random))


def authenticate(connection: Connection, key: str) -> Caller:
    """Return whose key it is; Unauthorized where it is unknown, expired or revoked."""
    if not key or len(key) > _LONGEST:
        raise Unauthorized("missing or invalid API key")
    row = _FIND(connection, {"hash": _hash(key)}).first()
    if row is None:
        raise Unauthorized("missing or invalid API key")
    if row.stale:
        connection.execute(update(api_keys).where(api_keys.c.id == row.id).values(last_used_at=func.now()))
    return Caller(
        row.organization_id,
        row.id,
        frozenset(row.scopes),
        Limits(row.organization_max_queued, row.organization_per_minute),
        Limits(row.max_queued, row.per_minute),
        row.catalog_version,
    )


_FIND = Statement("""
    SELECT k.id, k.organization_id, k.scopes, k.max_queued, k.per_minute,
           o.max_queued AS organization_max_queued, o.per_minute AS organization_per_minute, o.catalog_version,
           coalesce(k.last_used_at < now() - interval '1 minute', true) AS stale
      FROM api_keys k JOIN organizations o ON o.id = k.organization_id
     WHERE k.hash = :hash AND k.revoked_at IS NULL AND coalesce(k.expires_at > now(), true)
""")


def revoke(connection: Connection, organization_id: int, shown: str) -> int:
    """Revoke a key, named by itself or by the prefix that lists show; returns how many. NotFound where none is good."""
    revoked = connection.execute(
        update(api_keys)
        .where(api_keys.c.organization_id == organization_id, api_keys.c.revoked_at.is_(None))
        .where(or_(api_keys.c.hash == _hash(shown), api_keys.c.prefix == shown))
        .values(revoked_at=func.now())
    ).rowcount
    if not revoked:
        raise NotFound(f"key {shown[:_SHOWN]}")
    return revoked


def limit(connection: Connection, organization_id: int, prefix: str, **limits: int | None) -> None:
    """Set `max_queued` or `per_minute` of the keys that lists show by a prefix; NotFound."""
    changed = connection.execute(
        update(api_keys)
        .where(api_keys.c.organization_id == organization_id, api_keys.c.prefix == prefix)
        .values(**limits)
    ).rowcount
    if not changed:
        raise NotFound(f"key {prefix[:_SHOWN]}")


def listed(connection: Connection, organization_id: int) -> list[dict[str, Any]]:
    """Every key of an organization, newest first, without what could be used."""
    columns = [
        api_keys.c[name]
        for name in (
            "prefix",
            "name",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "max_queued",
            "per_minute",
        )
    ]
    rows = connection.execute(
        select(*columns).where(api_keys.c.organization_id == organization_id).order_by(api_keys.c.id.desc())
    )
    return [dict(row) for row in rows.mappings()]


def bootstrap(connection: Connection, key: str) -> None:
    """Make sure that the organization `default` exists and this key is an admin of it; safe to call often.

    A bootstrap key that was used before and is another now is revoked: whoever rotates the setting means it.
    """
    connection.execute(upsert(organizations).values(name="default").on_conflict_do_nothing())
    organization_id = connection.execute(
        select(organizations.c.id).where(organizations.c.name == "default")
    ).scalar_one()
    connection.execute(
        update(api_keys)
        .where(api_keys.c.organization_id == organization_id, api_keys.c.name == BOOTSTRAP)
        .where(api_keys.c.hash != _hash(key), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    connection.execute(
        upsert(api_keys)
        .values(
            organization_id=organization_id,
            name=BOOTSTRAP,
            prefix=key[: min(_SHOWN, len(key) // 4)],
            hash=_hash(key),
            scopes=["admin"],
        )
        .on_conflict_do_update(
            index_elements=[api_keys.c.hash],
            set_={"revoked_at": null()},
            where=(api_keys.c.name == BOOTSTRAP) & api_keys.c.revoked_at.isnot(None),
        )
    )


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _checksum(random: str) -> str:
    number = zlib.crc32(random.encode("utf-8", "surrogatepass"))
    digits = ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
