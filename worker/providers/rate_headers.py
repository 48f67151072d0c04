"""What a provider says of its limits in the headers of its answers, as OpenAI writes them; nonsense is not heard.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers. Some servers send -1 or 0 for what they do
not limit.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.providers import Limits

_MOST = 1e12
_DAY_SECONDS = 86_400.0
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[dhms]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_SECONDS}
#: How long a bucket that is told to be empty is left alone at most, where its even pace would not be slower: a tenth of
#: a minute's worth is there again by then.
_EMPTY_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Told:
    """The limits that an answer tells, and for how long nothing is left of one."""

    limits: Limits
    empty_seconds: float = 0.0


def read(headers: Mapping[str, str]) -> Told:
    """Read `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; what is missing or senseless is None."""
    found: dict[str, int] = {}
    empty = 0.0
    for kind in ("requests", "tokens"):
        # Most servers say nothing of limits.
        if f"x-ratelimit-limit-{kind}" not in headers:
            continue
        limit, remaining = (_number(headers.get(f"x-ratelimit-{each}-{kind}")) for each in ("limit", "remaining"))
        if limit is None or limit < 1:
            continue
        reset = seconds(headers.get(f"x-ratelimit-reset-{kind}") or "")
        per_minute = limit * 60 / _window(limit, remaining, reset)
        found[kind] = max(1, round(per_minute))
        if remaining == 0 and reset is not None:
            empty = max(empty, min(reset, max(_EMPTY_SECONDS, 60 / per_minute)))
    return Told(Limits(requests_per_minute=found.get("requests"), tokens_per_minute=found.get("tokens")), empty)


def seconds(text: str) -> float | None:
    """Seconds of a duration: `6m0s`, `20ms`, `1h2m3.5s`, or a number of them; None where it is none."""
    if _DURATION.fullmatch(text):
        return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text))
    found = _number(text)
    return found if found is not None and found >= 0 else None


def _window(limit: float, remaining: float | None, reset: float | None) -> float:
    # A limit is that of a minute, unless it takes longer than one until the bucket is full again: then it is as long as
    # a bucket that fills evenly takes, a day at most.
    if reset is None or reset <= _UNITS["m"] or remaining is None or not 0 <= remaining < limit:
        return _UNITS["m"]
    return min(_DAY_SECONDS, reset * limit / (limit - remaining))


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) <= _MOST else None
