"""Starts in a minute, counted in Redis for all API processes together; everything passes while Redis is away."""

import logging
import math
import time
from collections.abc import Mapping

import redis

logger = logging.getLogger(__name__)

#: How long a request waits for Redis, in seconds.
TIMEOUT_SECONDS = 0.2
#: After a failure Redis is not asked for this long, in seconds.
BREAK_SECONDS = 1.0
_MINUTE = 60

# Buckets that hold a minute's starts and fill evenly: KEYS are theirs, ARGV what each holds, and how many to take. What
# is kept of one is the time, in milliseconds, when it will be full again. Answers the milliseconds until each has so
# many to give, and 0 where each has given them.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local full, longest = {}, 0
for i, key in ipairs(KEYS) do
    full[i] = math.max(tonumber(redis.call('GET', key) or 0), now) + ARGV[#ARGV] * 60000 / ARGV[i]
    longest = math.max(longest, full[i] - now - 60000)
end
if longest > 0.01 then return math.ceil(longest) end
for i, key in ipairs(KEYS) do redis.call('SET', key, string.format('%.3f', full[i]), 'PX', 61000) end
return 0
"""


class Rates:
    """The buckets, as one API process sees them."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)
        self._take = self._redis.register_script(_TAKE)
        self._away_until = 0.0

    def take(self, limits: Mapping[str, int], count: int = 1) -> int:
        """Count starts against every limit, each named by whom it is for; returns the seconds to wait, 0 for none."""
        if not limits or time.monotonic() < self._away_until:
            return 0
        if 0 in limits.values():
            return _MINUTE
        try:
            wait = int(self._take([f"strata:rate:{name}" for name in limits], [*limits.values(), count]))
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + BREAK_SECONDS
            logger.warning("rates not counted", extra={"cause": type(error).__name__})
            return 0
        return math.ceil(wait / 1000)

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()
