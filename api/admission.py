"""What may come in: starts in a minute, and executions that wait, of an organization and by one of its keys."""

from api.depths import Depths
from api.rates import Rates
from shared import metrics
from shared.errors import TooMany
from shared.keys import Caller, Limits
from shared.settings import Settings

#: When to come again where too much is queued, in seconds.
RETRY_SECONDS = 5


class Admission:
    """Decides for one API process; used by all its threads."""

    def __init__(self, settings: Settings) -> None:
        # A setting of 0 is no limit; an organization's own 0 lets nothing in.
        self._default = Limits(settings.max_queued or None, settings.per_minute or None)
        self._rates = Rates(settings.redis_url)
        self._depths = Depths()

    def check(self, caller: Caller) -> None:
        """Count a start; TooMany where a limit is reached."""
        organization = caller.organization_limits.or_else(self._default)
        self._check_rates({
            f"organization:{caller.organization_id}": organization.per_minute,
            f"key:{caller.key_id}": caller.key_limits.per_minute,
        })
        self._check_depth("organization", organization.max_queued, caller.organization_id)
        self._check_depth("key", caller.key_limits.max_queued, caller.organization_id, caller.key_id)

    def close(self) -> None:
        """Let the connections go."""
        self._rates.close()

    def _check_rates(self, limits: dict[str, int | None]) -> None:
        seconds = self._rates.take({name: limit for name, limit in limits.items() if limit is not None})
        if seconds:
            metrics.refused("rate")
            raise TooMany("too many requests in a minute", seconds)

    def _check_depth(self, noun: str, limit: int | None, organization_id: int, key_id: int | None = None) -> None:
        if limit is not None and not self._depths.admit(organization_id, key_id, limit):
            metrics.refused("queued")
            raise TooMany(f"{limit} executions of this {noun} wait already", RETRY_SECONDS)
