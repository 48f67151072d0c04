"""Rings when something happened to an execution. Only a hint: a process looks at the rows anyway, every two seconds."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import redis

from shared import broker
from shared.errors import Unavailable

logger = logging.getLogger(__name__)

ENDED = "strata:ended"
CANCEL = "strata:cancel"
#: How long silence is trusted, in seconds.
LOOK_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_POLL_SECONDS = 0.5
#: After so many seconds without a word there is a ping at each look, and after so many without an answer the
#: connection counts as dead.
_PING_SECONDS = 10
_UNANSWERED_PINGS = 10


def ring(channel: str, uuid: UUID) -> None:
    """Tell every process that listens to a channel; never blocks, never fails."""
    broker.courier().send("PUBLISH", channel, str(uuid))


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
        #: True while somebody waits: until then the execution may not be there yet.
        self.waiting = False

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, at most so long; a ring that was missed is noticed within two seconds."""
        self.waiting = True
        return not self._waiters.closing and self.rung.wait(seconds)


class Waiters:
    """Who waits for which execution in this process, and one look for all of them whether a ring was missed."""

    def __init__(self, over: Callable[[Sequence[UUID]], Iterable[UUID]]) -> None:
        """`over` tells which of some executions have nothing to wait for; Unavailable where nobody can tell."""
        self.closing = False
        self._over = over
        self._bells: dict[UUID, set[Bell]] = defaultdict(set)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_regularly, name="looks for missed rings", daemon=True)

    def start(self) -> None:
        """Begin to look; call it after a fork, never before."""
        self._thread.start()

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
        """Let everybody go early, and stop looking."""
        self.closing = True
        self._closed.set()
        with self._lock:
            for bells in self._bells.values():
                for bell in bells:
                    bell.rung.set()

    def _look_regularly(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self._look()
            except Unavailable:
                # Postgres will be back, or the time be over; who waits is not told of every hiccup.
                continue
            except Exception:
                logger.exception("no look for missed rings")

    def _look(self) -> None:
        with self._lock:
            waited_for = [uuid for uuid, bells in self._bells.items() if any(bell.waiting for bell in bells)]
        if waited_for:
            for uuid in self._over(waited_for):
                self.heard(uuid)
