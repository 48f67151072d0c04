"""Rings when something happened to an execution. Only a hint: who waits looks at the row anyway, every two seconds."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import redis

from shared import broker

logger = logging.getLogger(__name__)

ENDED = "strata:ended"
CANCEL = "strata:cancel"
#: How long a waiter trusts silence, in seconds.
LOOK_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_POLL_SECONDS = 0.5
#: After so many seconds without a word there is a ping at each look, and after so many without an answer the
#: connection counts as dead.
_PING_SECONDS = 10
_UNANSWERED_PINGS = 10


def ring(channel: str, uuid: UUID) -> None:
    """Tell every process that listens to a channel; never blocks, never fails."""
    broker.courier().send(lambda pipeline: pipeline.publish(channel, str(uuid)))


class Listener:
    """One subscription a process: calls `heard(uuid)` for each ring, and reconnects for ever."""

    def __init__(self, url: str, channel: str, heard: Callable[[UUID], None]) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=5, socket_connect_timeout=1, socket_keepalive=True, health_check_interval=_PING_SECONDS
        )
        self._channel = channel
        self._heard = heard
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name=f"listens to {channel}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, within half a second."""
        self._closing = True
        self._thread.join(1.0)

    def _listen(self) -> None:
        while not self._closing:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    subscription.subscribe(self._channel)
                    while not self._closing:
                        message = subscription.get_message(timeout=_POLL_SECONDS)
                        refuse_silence(subscription)
                        if message is not None:
                            self._heard(UUID(message["data"].decode()))
            except (redis.RedisError, OSError, ValueError) as error:
                if not self._closing:
                    logger.warning("doorbell lost", extra={"cause": type(error).__name__})
                    time.sleep(_RETRY_SECONDS)
        self._redis.close()


def refuse_silence(subscription: redis.client.PubSub) -> None:
    """Raise ConnectionError where a subscription's pings stay without an answer; ask after each look for a message.

    The client sends them and never looks what has become of them: a broker that vanished without closing the
    connection would be listened to for ever.
    """
    if subscription.health_check_response_counter > _UNANSWERED_PINGS:
        raise redis.ConnectionError("the broker has not answered for seconds")


class Bell:
    """One who waits for one execution; it hears every ring since it was hung up."""

    def __init__(self, waiters: "Waiters") -> None:
        self._waiters = waiters
        self.rung = threading.Event()

    def wait(self, seconds: float, ended: Callable[[], bool]) -> bool:
        """Wait for a ring, at most so long, and look every two seconds whether one was missed: `ended()` says so."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._waiters.closing:
            rung = self.rung.wait(min(left, LOOK_SECONDS))
            self.rung.clear()
            if rung or ended():
                return True
        return False


class Waiters:
    """Who waits for which execution in this process."""

    def __init__(self) -> None:
        self.closing = False
        self._bells: dict[UUID, set[Bell]] = defaultdict(set)
        self._lock = threading.Lock()

    def heard(self, uuid: UUID) -> None:
        """Wake everybody who waits for an execution."""
        with self._lock:
            for bell in self._bells.get(uuid, ()):
                bell.rung.set()

    @contextmanager
    def expecting(self, uuid: UUID) -> Iterator[Bell]:
        """Hang up a bell for an execution; do it before the execution is accepted, and no ring is missed."""
        bell = Bell(self)
        with self._lock:
            self._bells[uuid].add(bell)
        try:
            yield bell
        finally:
            with self._lock:
                self._bells[uuid].discard(bell)
                if not self._bells[uuid]:
                    del self._bells[uuid]

    def close(self) -> None:
        """Let everybody go early."""
        self.closing = True
        with self._lock:
            for bells in self._bells.values():
                for bell in bells:
                    bell.rung.set()
