"""The buckets of one process by itself, for while Redis is away: its share of every limit."""

import threading
import time
from dataclasses import dataclass

from shared.providers import Limits
from worker.providers.pacing_script import LEAD_SECONDS, SHARE_OF_LIMIT

#: Between two looks for a place in flight, in seconds.
_LOOK_SECONDS = 0.25


@dataclass(slots=True)
class _Bucket:
    requests_until: float = 0.0
    tokens_until: float = 0.0
    paused_until: float = 0.0
    line_until: float = 0.0
    in_flight: int = 0


class Alone:
    """Every bucket of this process."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def reserve(self, name: str, limits: Limits, *, share: float, tokens: float, horizon: float) -> tuple[str, float]:
        """Returns `granted`, `again` or `parked`, and the seconds to wait."""
        now = time.monotonic()
        by_request = _each(1, limits.requests_per_minute, share)
        by_tokens = _each(tokens, limits.tokens_per_minute, share)
        with self._lock:
            bucket = self._buckets.setdefault(name, _Bucket())
            start = max(now, bucket.paused_until, bucket.requests_until, bucket.tokens_until)
            if start - now > horizon:
                bucket.line_until = max(bucket.line_until, start) + max(by_request, by_tokens, 0.01)
                return "parked", max(1.0, bucket.line_until - now - min(LEAD_SECONDS, horizon * 0.6))
            # One call at least, or those that only this process has would never be sent.
            if limits.in_flight is not None and bucket.in_flight >= max(1, int(limits.in_flight * share)):
                return "again", min(_LOOK_SECONDS, horizon)
            bucket.requests_until = start + by_request if by_request else bucket.requests_until
            bucket.tokens_until = start + by_tokens if by_tokens else bucket.tokens_until
            bucket.in_flight += 1
            return "granted", start - now

    def settle(self, name: str, limits: Limits, *, share: float, surplus: float) -> None:
        """A call has ended, after taking so many tokens more than were reserved."""
        with self._lock:
            bucket = self._buckets[name]
            bucket.in_flight -= 1
            bucket.tokens_until += _each(surplus, limits.tokens_per_minute, share)

    def pause(self, name: str, seconds: float) -> None:
        """Send nothing for so long."""
        with self._lock:
            bucket = self._buckets.setdefault(name, _Bucket())
            bucket.paused_until = max(bucket.paused_until, time.monotonic() + seconds)

    def paused(self, name: str) -> bool:
        """Whether a pause goes on."""
        bucket = self._buckets.get(name)
        return bucket is not None and bucket.paused_until > time.monotonic()


def _each(count: float, per_minute: int | None, share: float) -> float:
    """The seconds that so many take up at the rate that a process may have."""
    return count * 60 / (per_minute * SHARE_OF_LIMIT * share) if per_minute else 0.0
