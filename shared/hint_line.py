"""One connection to Redis on which hints leave in their order, and whose answers are read later, all at once.

Handing a hint to another thread takes longer than writing it, so a small one is written by whoever has it: the socket
takes it at once, whatever Redis does.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: How much may be on its way without an answer for another hint to leave at once, in bytes: less than what any socket
#: takes without waiting for its other side.
AT_ONCE_BYTES = 16_384
#: What words raise that no command can be made of: a type that Redis does not know, a text that is none.
_UNSENDABLE = (redis.DataError, ValueError)


@dataclass(frozen=True, slots=True)
class Hint:
    """A command of Redis as its words, and what is to be called if it is lost."""

    words: tuple[Any, ...]
    lost: Callable[[], None] | None = None


class Line:
    """A connection for hints, safe to use from any thread."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection = pool.make_connection()
        self._lock = threading.Lock()
        self._unanswered: deque[Hint] = deque()
        self._bytes = 0

    def send_at_once(self, hint: Hint, *, unless: Sequence[Hint]) -> bool:
        """Write a hint without waiting for anything; False where it cannot leave now, or others wait to leave first."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if unless or not self._connection.is_connected or self._stale():
                return False
            packed = self._packed(hint)
            if self._bytes + len(packed) > AT_ONCE_BYTES:
                return False
            # Where it breaks, whoever reads the answers finds that out.
            with suppress(redis.RedisError, OSError):
                self._write([hint], packed)
        except _UNSENDABLE:
            # Said where it is tried again.
            return False
        finally:
            self._lock.release()
        return True

    def send(self, taken: Callable[[], Sequence[Hint]]) -> list[tuple[Hint, Exception]]:
        """Write the hints that are `taken` now, and read every answer that is owed; returns what was lost, and why."""
        with self._lock:
            hints, packed, lost = self._all_packed(taken())
            if not self._connection.is_connected:
                lost += self._given_up(redis.ConnectionError("the connection broke"))
            elif self._stale():
                self._connection.disconnect()
            try:
                if hints:
                    self._write(hints, packed)
                while self._unanswered:
                    if (refusal := self._answer()) is not None:
                        lost.append((self._unanswered[0], refusal))
                    self._unanswered.popleft()
            except (redis.RedisError, OSError) as error:
                self._connection.disconnect()
                lost += self._given_up(error)
            self._bytes = 0
            return lost

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.disconnect()

    def _write(self, hints: Sequence[Hint], packed: bytes) -> None:
        self._unanswered += hints
        self._bytes += len(packed)
        # It connects first where there is no connection.
        self._connection.send_packed_command([packed], check_health=False)

    def _given_up(self, error: Exception) -> list[tuple[Hint, Exception]]:
        """What has left, and will never be answered."""
        lost = [(hint, error) for hint in self._unanswered]
        self._unanswered.clear()
        return lost

    def _answer(self) -> redis.ResponseError | None:
        """Read the answer to one command: the error that it is, if it is one."""
        try:
            self._connection.read_response()
        except redis.ResponseError as error:
            return error
        return None

    def _stale(self) -> bool:
        """True where the other side says something although it owes no answer: it has closed the connection."""
        try:
            return not self._unanswered and self._connection.can_read()
        except (redis.RedisError, OSError):
            return True

    def _all_packed(self, hints: Sequence[Hint]) -> tuple[list[Hint], bytes, list[tuple[Hint, Exception]]]:
        good: list[Hint] = []
        bad: list[tuple[Hint, Exception]] = []
        packed: list[bytes] = []
        for hint in hints:
            try:
                packed.append(self._packed(hint))
            except _UNSENDABLE as error:
                bad.append((hint, error))
            else:
                good.append(hint)
        return good, b"".join(packed), bad

    def _packed(self, hint: Hint) -> bytes:
        return b"".join(self._connection.pack_command(*hint.words))
