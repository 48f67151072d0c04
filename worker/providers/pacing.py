"""Paces the calls of one key to one model, for all workers together: requests and tokens per minute, calls in flight.

The limits are configured, or learned from the provider's answers. A short wait happens here, with the call's place
reserved; a longer one parks the execution. Without any limit, Redis is not asked. While it is away, each process keeps
to its share of the limits.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import Parked
from shared.providers import Limits
from worker.providers import rate_headers
from worker.providers.pacing_alone import Alone
from worker.providers.pacing_script import SCRIPT
from worker.providers.places import Asker, Place, Reservation
from worker.providers.recalls import Recall, Recalls

logger = logging.getLogger(__name__)

#: The longest wait that happens in a worker, in seconds.
HORIZON_SECONDS = 5.0
#: How long a call waits for Redis, in seconds.
TIMEOUT_SECONDS = 0.2
#: After a failure Redis is not asked for this long, in seconds.
BREAK_SECONDS = 2.0
#: A call holds its place in flight for this much longer than it may take, in seconds.
_GRACE_SECONDS = 5.0
#: How long nobody sends to a provider that wants to be asked more slowly and has no known rate, in seconds.
_SLOW_SECONDS = 1.0
_NO_LIMITS = Limits()
_KEYS = ("", ":calls", ":line", ":times", ":begun", ":tenants")
_STEPS = {1: "granted", 0: "again", -1: "parked"}

#: Waits so many seconds, or raises what ends the wait.
Rest = Callable[[float], None]


class Pacing:
    """The buckets, as one worker process sees them. A bucket's name has no key in it, only which one it is."""

    def __init__(
        self, url: str, *, share: Callable[[], float] = lambda: 1.0, recall: Recall = lambda uuids: uuids
    ) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._script = self._redis.register_script(SCRIPT)
        self._share = share
        self._alone = Alone()
        self._learned: dict[str, Limits] = {}
        self._away_until = 0.0
        self._recalls = Recalls(recall)

    def close(self) -> None:
        """Let the connections go."""
        self._recalls.close()
        self._redis.close()

    def place(
        self, bucket: str, limits: Limits, tokens: int, *, asker: Asker, seconds: float, rest: Rest
    ) -> AbstractContextManager[Place]:
        """Have a call's place during the block, after the wait for it; Parked where that would be long.

        `tokens` is an estimate. The call, with its wait, ends within `seconds`.
        """
        return _Placed(self, partial(self._waited_for, bucket, limits, tokens, asker, seconds, rest))

    def _waited_for(
        self, bucket: str, limits: Limits, tokens: int, asker: Asker, seconds: float, rest: Rest
    ) -> Reservation:
        until = time.monotonic() + min(HORIZON_SECONDS, seconds)
        while True:
            horizon = max(0.0, until - time.monotonic())
            found = self.reserve(bucket, limits, tokens, asker=asker, horizon=horizon, lasting=seconds)
            if found.step == "parked" or (found.step == "again" and horizon <= 0):
                raise Parked(max(found.wait, 1.0))
            try:
                if found.wait > 0:
                    rest(found.wait)
            except BaseException:
                if found.step == "granted":
                    self.settle(found, None, seconds=None)
                raise
            if found.step == "granted":
                return found

    def reserve(
        self, bucket: str, limits: Limits, tokens: int, *, asker: Asker, horizon: float, lasting: float
    ) -> Reservation:
        """Take a place in a bucket where that takes at most `horizon` seconds; never blocks for long, never fails."""
        learned = self._learned.get(bucket, _NO_LIMITS)
        known = Limits(
            requests_per_minute=limits.requests_per_minute or learned.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute or learned.tokens_per_minute,
            in_flight=limits.in_flight,
        )
        if known == _NO_LIMITS and not self._alone.paused(bucket):
            return Reservation(bucket, known, "", float(tokens))
        asked = Reservation(bucket, known, uuid4().hex, float(tokens))
        arguments = (asked.id, asker.id, asker.tenant, tokens, horizon, lasting + _GRACE_SECONDS, random.random())  # noqa: S311
        answer = self._run("reserve", bucket, known, *arguments)
        if answer is None:
            step, wait = self._alone.reserve(bucket, known, share=self._share(), tokens=tokens, horizon=horizon)
            return Reservation(bucket, known, asked.id, tokens, step, wait, reserved=tokens, kept_by="process")
        step, wait, reserved = _STEPS[answer[0]], float(answer[1]), float(answer[2])
        self._recalls.call([each.decode() for each in answer[3]])
        return Reservation(bucket, known, asked.id, tokens, step, wait, reserved, kept_by="redis")

    def settle(self, reservation: Reservation, tokens: int | None, *, seconds: float | None) -> None:
        """Give a place back, with the tokens that the call took and its seconds; None for both: it was not sent."""
        bucket, known, reserved = reservation.bucket, reservation.limits, reservation.reserved
        used = (reserved if tokens is None else tokens) if seconds is not None else 0
        if reservation.kept_by == "process":
            self._alone.settle(bucket, known, share=self._share(), surplus=used - reserved)
        elif reservation.kept_by == "redis":
            told = -1 if tokens is None else tokens
            lasted = -1 if seconds is None else seconds
            arguments = (reservation.id, reservation.estimate, reserved, told, lasted)
            called = self._run("settle", bucket, known, *arguments)
            self._recalls.call([each.decode() for each in called or ()])

    def learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        """Hear what an answer's headers tell of the provider's limits."""
        told = rate_headers.read(headers)
        if told.limits != _NO_LIMITS:
            self._learned[bucket] = told.limits
        if told.empty_seconds > 0:
            self.pause(bucket, told.empty_seconds)

    def pause(self, bucket: str, seconds: float) -> None:
        """Have nobody send for so long: the provider has said so."""
        self._alone.pause(bucket, seconds)
        self._run("pause", bucket, self._learned.get(bucket, _NO_LIMITS), seconds)

    def slow(self, bucket: str) -> None:
        """Ask less for a while: the provider is overloaded, or was asked for too much more too soon."""
        self._run("slow", bucket, self._learned.get(bucket, _NO_LIMITS))
        self.pause(bucket, _SLOW_SECONDS)

    def _run(self, what: str, bucket: str, limits: Limits, *arguments: Any) -> Any:
        """The script's answer; None while Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        keys = [f"strata:pace:{{{bucket}}}{part}" for part in _KEYS]
        counts = (limits.requests_per_minute or 0, limits.tokens_per_minute or 0, limits.in_flight or 0)
        try:
            return self._script(keys, [what, *counts, *arguments])
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + BREAK_SECONDS
            logger.warning("calls paced alone", extra={"cause": type(error).__name__})
            return None


class _Placed:
    """A block with a call's place. A class: there are three an execution, and a generator costs more."""

    def __init__(self, pacing: Pacing, reserve: Callable[[], Reservation]) -> None:
        self._pacing = pacing
        self._reserve = reserve

    def __enter__(self) -> Place:
        self._reservation = self._reserve()
        self._place = Place()
        self._begun = time.monotonic()
        return self._place

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self._begun if self._place.sent else None
        self._pacing.settle(self._reservation, self._place.used_tokens, seconds=seconds)
