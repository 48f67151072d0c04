"""Who watches which stream in this process: one subscription for all of them, to what they watch and nothing else.

A thread owns the subscription. Whoever comes or goes leaves word and rings for it over Redis itself, so that it need
not look around. Streams are read over a connection beside it, soon or not at all.
"""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared import broker, doorbell, events, thread_events
from shared.events import Event

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: How long reading a stream may take, and how long it may wait for a connection that others use, in seconds.
TIMEOUT_SECONDS, TURN_SECONDS = 0.3, 2.0
#: After a failure no stream is read for this long, in seconds.
BREAK_SECONDS = 1.0
#: Connections for reading streams, of which most processes ever open one.
CONNECTIONS = 2
#: Events that a slow client may leave lying; beyond them it reads the stream again.
CAPACITY = 1000
_RETRY_SECONDS = 0.5
_POLL_SECONDS = 0.5


class Watcher:
    """One who watches a stream; hears every event from when it is `ready`, or that it has `missed` some."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.missed = False
        self._heard: deque[Event] = deque()
        self._rung = threading.Event()

    def wait(self, seconds: float) -> list[Event]:
        """What was heard, as soon as there is anything; nothing where the time is over or something was missed."""
        self._rung.wait(seconds)
        self._rung.clear()
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def hear(self, event: Event) -> None:
        """Leave an event for whoever waits."""
        if len(self._heard) < CAPACITY:
            self._heard.append(event)
        else:
            self.missed = True
        self._rung.set()

    def subscribed(self) -> None:
        """From now on nothing is missed; if this is not the first time, something may have been."""
        if self.ready.is_set():
            self.missed = True
            self.rouse()
        self.ready.set()

    def rouse(self) -> None:
        """Wake whoever waits."""
        self._rung.set()


class Watchers:
    """Everybody in this process who watches a stream of events; `start` begins to listen."""

    def __init__(self, url: str) -> None:
        self.closing = False
        self._subscriber = redis.Redis.from_url(
            url, socket_timeout=5, socket_connect_timeout=1, socket_keepalive=True, health_check_interval=10
        )
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TURN_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # A connection that a restarted Redis has closed is found out by using it.
            retry=Retry(NoBackoff(), 1),
        )
        self._streams = redis.Redis.from_pool(pool)
        self._away_until = 0.0
        self._bell = f"strata:watchers:{uuid4()}"
        self._watchers: dict[str, set[Watcher]] = defaultdict(set)
        self._subscribed: set[str] = set()
        self._confirmed: set[str] = set()
        self._changed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, name="watches executions", daemon=True)

    def start(self) -> None:
        """Begin to listen; call it after a fork, never before."""
        self._thread.start()

    def let_go(self) -> None:
        """Have everybody leave early: their clients come back, to another process."""
        self.closing = True
        with self._lock:
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.rouse()

    def close(self) -> None:
        """Let everybody go and stop listening, within half a second."""
        self.let_go()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._streams.close()

    @contextmanager
    def watching(self, channel: str) -> Iterator[Watcher]:
        """Watch a stream for as long as the block takes."""
        watcher = Watcher()
        with self._lock:
            self._watchers[channel].add(watcher)
            if channel in self._confirmed:
                watcher.subscribed()
        self._ring()
        try:
            yield watcher
        finally:
            with self._lock:
                self._watchers[channel].discard(watcher)
                if not self._watchers[channel]:
                    del self._watchers[channel]
            self._ring()

    def after(self, channel: str, name: str | None) -> Sequence[Event] | None:
        """What came after an event, or in all; None where that cannot be said: it is gone, or Redis is away."""
        return self._read(lambda: events.entries(self._streams, channel, name))

    def newest(self, channel: str) -> str | None:
        """The id of a stream's last event; None where there is none, or Redis is away."""
        return self._read(lambda: events.tip(self._streams, channel))

    def begins(self, channel: str) -> bool | None:
        """True where the log of a thread goes back to its beginning; None while Redis is away."""
        return self._read(lambda: thread_events.begins(self._streams, channel))

    @property
    def away(self) -> bool:
        """True for a moment after a stream could not be read."""
        return time.monotonic() < self._away_until

    def _read(self, read: Callable[[], T | None]) -> T | None:
        if self.away:
            return None
        try:
            return read()
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + BREAK_SECONDS
            logger.warning("events not read", extra={"cause": type(error).__name__})
            return None

    def _ring(self) -> None:
        self._changed = True
        broker.courier().send("PUBLISH", self._bell, "")

    def _listen(self) -> None:
        while not self.closing:
            try:
                with self._subscriber.pubsub() as subscription:
                    subscription.subscribe(self._bell)
                    self._subscribed, self._changed = set(), True
                    while not self.closing:
                        self._adjust(subscription)
                        self._hear(subscription.get_message(timeout=_POLL_SECONDS))
                        doorbell.refuse_silence(subscription)
            except (redis.RedisError, OSError) as error:
                if not self.closing:
                    logger.warning("events not heard", extra={"cause": type(error).__name__})
                    time.sleep(_RETRY_SECONDS)
            with self._lock:
                self._confirmed.clear()
        self._subscriber.close()

    def _adjust(self, subscription: "redis.client.PubSub") -> None:
        """Subscribe to what is watched now, and to nothing else."""
        if not self._changed:
            return
        self._changed = False
        with self._lock:
            wanted = set(self._watchers)
            self._confirmed &= wanted
        new, left = wanted - self._subscribed, self._subscribed - wanted
        self._subscribed = wanted
        if new:
            subscription.subscribe(*new)
        if left:
            subscription.unsubscribe(*left)

    def _hear(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        channel = message["channel"].decode()
        with self._lock:
            watchers = list(self._watchers.get(channel, ()))
            if message["type"] == "subscribe" and watchers:
                self._confirmed.add(channel)
                for watcher in watchers:
                    watcher.subscribed()
        if message["type"] == "message" and watchers:
            self._pass_on(message["data"], watchers)

    def _pass_on(self, ring: bytes, watchers: list[Watcher]) -> None:
        try:
            event = events.heard(ring)
        except ValueError:
            logger.warning("a ring is no event")
            return
        for watcher in watchers:
            watcher.hear(event)
