"""Whose key a provider is asked with: the organization's own where it has one, else the one of the settings."""

import hashlib
import threading
import time
from collections.abc import Callable

from shared import db, provider_keys
from shared.errors import SealBroken, Unavailable
from shared.providers import OPENAI_URL, Provider
from shared.sealing import Sealer
from worker.providers.asking import Credential
from worker.providers.faults import ProviderFault

#: A key that was changed is used for this long at most, in seconds.
KEPT_SECONDS = 10.0
_MOST_KEPT = 5000

#: Reads an organization's own key of a provider, None where it has none.
Load = Callable[[int, str], str | None]


class Credentials:
    """Finds keys; those of organizations are looked up every few seconds at most."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._kept: dict[tuple[int, str], tuple[float, Credential]] = {}
        self._lock = threading.Lock()

    def key(self, organization_id: int, provider: Provider) -> Credential:
        """The key to use, empty where the server wants none; ProviderFault with `provider_auth` where it lacks.

        Unavailable where Postgres is away and this process has never looked for the organization's key.
        """
        found = self._found(organization_id, provider)
        if not found.key and provider.base_url is None:
            raise ProviderFault("provider_auth", f"there is no key for the provider {provider.name}")
        return found

    def _found(self, organization_id: int, provider: Provider) -> Credential:
        now = time.monotonic()
        kept = self._kept.get((organization_id, provider.name))
        if kept is not None and now < kept[0]:
            return kept[1]
        try:
            found = _named(self._load(organization_id, provider.name) or provider.api_key or "", provider)
        except SealBroken as error:
            # Somebody else's key must not pay for it.
            text = f"the organization's key for the provider {provider.name} cannot be opened: {error}"
            raise ProviderFault("provider_auth", text) from error
        except Unavailable:
            # What was good a moment ago is better than no call.
            if kept is None:
                raise
            found = kept[1]
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[organization_id, provider.name] = (now + KEPT_SECONDS, found)
        return found


def _named(key: str, provider: Provider) -> Credential:
    named = hashlib.sha256(f"{provider.base_url or OPENAI_URL}\n{key}".encode()).hexdigest()
    return Credential(key, named[:16])


def sealed(sealer: Sealer) -> Load:
    """Reads the keys that are kept sealed in Postgres."""

    def load(organization_id: int, provider: str) -> str | None:
        with db.autocommit() as connection:
            return provider_keys.opened(connection, organization_id, provider, sealer)

    return load
