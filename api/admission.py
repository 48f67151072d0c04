"""What may come in: starts in a minute, and executions that wait, of an organization and by one of its keys."""

from api.depths import Depths
from api.rates import Rates
from shared import metrics
from shared.errors import Fault, Invalid, TooMany
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

    def check(self, caller: Caller, count: int = 1) -> None:
        """Count one start or several; TooMany beyond a limit, Invalid where so many can never come at once."""
        organization, key = caller.organization_limits.or_else(self._default), caller.key_limits
        _check_size(count, organization, key)
        rates = {
            f"organization:{caller.organization_id}": organization.per_minute,
            f"key:{caller.key_id}": key.per_minute,
        }
        self._check_rates({name: limit for name, limit in rates.items() if limit is not None}, count)
        self._check_depth(count, organization.max_queued, caller.organization_id)
        self._check_depth(count, key.max_queued, caller.organization_id, caller.key_id)

    def close(self) -> None:
        """Let the connections go."""
        self._rates.close()

    def _check_rates(self, limits: dict[str, int], count: int) -> None:
        seconds = self._rates.take(limits, count)
        if seconds:
            metrics.refused("rate")
            raise TooMany("too many requests in a minute", seconds)

    def _check_depth(self, count: int, limit: int | None, organization_id: int, key_id: int | None = None) -> None:
        if limit is not None and not self._depths.admit(organization_id, key_id, limit, count):
            metrics.refused("queued")
            noun = "organization" if key_id is None else "key"
            raise TooMany(f"{limit} executions of this {noun} wait already", RETRY_SECONDS)


def _check_size(count: int, *limits: Limits) -> None:
    for each in limits:
        for limit, meaning in ((each.per_minute, "may start in a minute"), (each.max_queued, "may wait")):
            if limit is not None and count > 1 and limit < count:
                raise Invalid([Fault("body", f"has {count} executions, and {limit} {meaning}")])
