"""Keys of providers that organizations have of their own: stored sealed, opened where a model is asked, never shown."""

import re
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared.errors import Fault, Invalid, NotFound
from shared.models.providers import provider_keys
from shared.sealing import Sealer
from shared.statements import Statement

_KEY = re.compile(r"[!-~]{8,500}")
_HINT = 4
#: A key that is shorter would be told too much of by its last characters.
_HINTED = 16


class Known(NamedTuple):
    """What is told of a key: its last characters, and when it was set."""

    hint: str
    set_at: datetime


def put(connection: Connection, organization_id: int, provider: str, key: str, sealer: Sealer) -> Known:
    """Keep a key in the place of the one before.

    Invalid for what can be none; Conflict where there is nothing to seal it with.
    """
    if not _KEY.fullmatch(key):
        raise Invalid([Fault("key", "must be 8 to 500 visible ASCII characters")])
    values = {
        "sealed": sealer.seal(key, _context(organization_id, provider)),
        "hint": key[-_HINT:] if len(key) >= _HINTED else "",
        "set_at": func.now(),
    }
    row = connection.execute(
        upsert(provider_keys)
        .values(organization_id=organization_id, provider=provider, **values)
        .on_conflict_do_update(index_elements=[provider_keys.c.organization_id, provider_keys.c.provider], set_=values)
        .returning(provider_keys.c.hint, provider_keys.c.set_at)
    ).one()
    return Known(row.hint, row.set_at)


def remove(connection: Connection, organization_id: int, provider: str) -> None:
    """Forget a key; NotFound where there is none."""
    found = (provider_keys.c.organization_id == organization_id) & (provider_keys.c.provider == provider)
    if not connection.execute(delete(provider_keys).where(found)).rowcount:
        raise NotFound("key")


def known(connection: Connection, organization_id: int) -> dict[str, Known]:
    """What is told of an organization's keys, by provider."""
    columns = (provider_keys.c.provider, provider_keys.c.hint, provider_keys.c.set_at)
    rows = connection.execute(select(*columns).where(provider_keys.c.organization_id == organization_id))
    return {row.provider: Known(row.hint, row.set_at) for row in rows}


def opened(connection: Connection, organization_id: int, provider: str, sealer: Sealer) -> str | None:
    """An organization's own key of a provider, None where it has none; SealBroken where it cannot be opened here."""
    sealed = _SEALED(connection, {"organization": organization_id, "provider": provider}).scalar()
    return None if sealed is None else sealer.open(bytes(sealed), _context(organization_id, provider))


def reseal(connection: Connection, sealer: Sealer) -> int:
    """Seal every key with the newest of the sealer's; returns how many were not.

    SealBroken where one cannot be opened, and then the transaction must change none.
    """
    changed = 0
    for row in connection.execute(select(provider_keys).with_for_update()).all():
        if not sealer.is_current(bytes(row.sealed)):
            context = _context(row.organization_id, row.provider)
            sealed = sealer.seal(sealer.open(bytes(row.sealed), context), context)
            same = (provider_keys.c.organization_id == row.organization_id) & (provider_keys.c.provider == row.provider)
            connection.execute(update(provider_keys).where(same).values(sealed=sealed))
            changed += 1
    return changed


def _context(organization_id: int, provider: str) -> str:
    return f"provider-key:{organization_id}:{provider}"


_SEALED = Statement("SELECT sealed FROM provider_keys WHERE organization_id = :organization AND provider = :provider")
