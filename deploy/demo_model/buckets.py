"""Strict limits of one model: so many requests and tokens in a fixed window, so many calls at once; more is refused.

A model has them by its rule or its name: `demo:requests=100,tokens=20000,window_seconds=5,in_flight=4`. A window begins
with the first call, or where the last one ended. Refusals and headers are OpenAI's
(https://platform.openai.com/docs/guides/rate-limits); the tokens of a call are those that its answer will have.

GET    /_buckets    {model: {"allowed", "refused", "in_flight", "max_in_flight", "windows": [[requests, tokens], …]}}
DELETE /_buckets    forget what was counted
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.demo_model import response
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.request import Request

_PATH = "/_buckets"
_KEPT_WINDOWS = 10_000


@dataclass(slots=True)
class _Bucket:
    begun_at: float
    window: int = 0
    allowed: int = 0
    refused: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    windows: deque[list[int]] = field(default_factory=lambda: deque([[0, 0]], maxlen=_KEPT_WINDOWS))

    def go_on(self, now: float, window_seconds: float) -> float:
        """Begin the window of this moment; returns the seconds until its end."""
        window, over = divmod(now - self.begun_at, window_seconds)
        self.windows.extend([0, 0] for _ in range(min(_KEPT_WINDOWS, int(window) - self.window)))
        self.window = int(window)
        return window_seconds - over


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a call gets: header lines, and its refusal where it is refused; `end` is to be called when it has ended."""

    fields: str
    refusal: bytes | None
    end: Callable[[], None]


class Buckets:
    """The buckets of all models."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def answer(self, request: Request) -> bytes | None:
        """Do what is asked of the counts; None for another path or method."""
        if request.path != _PATH or request.method not in ("GET", "DELETE"):
            return None
        if request.method == "DELETE":
            self.forget()
        return response.document(200, self.counts())

    def counts(self) -> dict[str, dict[str, object]]:
        """What was counted, by model; one window after the other since its first call."""
        names = ("allowed", "refused", "in_flight", "max_in_flight")
        return {
            model: {name: getattr(each, name) for name in names} | {"windows": list(each.windows)}
            for model, each in self._buckets.items()
        }

    def forget(self) -> None:
        """Have no bucket any more."""
        self._buckets.clear()

    def take(self, model: str, limits: Behaviour, tokens: int, *, now: float, fields: str) -> Verdict:
        """Count a call of so many tokens, or refuse it; `fields` are the header lines that it has already."""
        bucket = self._buckets.setdefault(model, _Bucket(now))
        left = bucket.go_on(now, limits.window_seconds)
        requests, used = bucket.windows[-1]
        over = _over(limits, bucket.in_flight, requests + 1, used + tokens)
        if over is None:
            bucket.windows[-1] = [requests + 1, used + tokens]
            bucket.allowed += 1
            bucket.in_flight += 1
            bucket.max_in_flight = max(bucket.max_in_flight, bucket.in_flight)
        else:
            bucket.refused += 1
        requests, used = bucket.windows[-1]
        fields += _told(limits, requests, used, left)
        if over is None:
            return Verdict(fields, None, lambda: _end(bucket))
        wait = 1.0 if over == "calls" else left
        return Verdict(fields, _refusal(model, over, wait, fields), lambda: None)


def _over(limits: Behaviour, in_flight: int, requests: int, tokens: int) -> str | None:
    if limits.in_flight is not None and in_flight >= limits.in_flight:
        return "calls"
    if limits.requests is not None and requests > limits.requests:
        return "requests"
    return "tokens" if limits.tokens is not None and tokens > limits.tokens else None


def _told(limits: Behaviour, requests: int, tokens: int, left: float) -> str:
    counted = (("requests", limits.requests, requests), ("tokens", limits.tokens, tokens))
    return "".join(
        f"x-ratelimit-limit-{kind}: {limit}\r\n"
        f"x-ratelimit-remaining-{kind}: {max(0, limit - used)}\r\n"
        f"x-ratelimit-reset-{kind}: {_duration(left)}\r\n"
        for kind, limit, used in counted
        if limit is not None
    )


def _refusal(model: str, over: str, wait: float, fields: str) -> bytes:
    message = f"Rate limit reached for {model} on {over}. Please try again in {_duration(wait)}."
    fields += f"retry-after-ms: {math.ceil(wait * 1000)}\r\nretry-after: {math.ceil(wait)}\r\n"
    kind = "tokens" if over == "tokens" else "requests"
    return response.problem(429, message, code="rate_limit_exceeded", kind=kind, fields=fields)


def _duration(seconds: float) -> str:
    """As Go writes it: `6m0s`, `1.25s`, `20ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"


def _end(bucket: _Bucket) -> None:
    bucket.in_flight -= 1
