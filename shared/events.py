"""What happens to an execution while it happens: a short-lived stream in Redis for each, and a ring with every event.

An event is a kind and a small JSON object of paths, states, reason codes and numbers; what a model wrote is in the
deltas of a layer that streams, and nowhere else. All of it are hints: a stream may be cut, late or gone, and what is
true stands in the rows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis

from shared import broker, strict_json
from shared.plan import Layer, Result

#: How long a stream is kept after its last event, in seconds, and about how many events it holds.
STREAM_SECONDS = 600
LENGTH = 1000

_TELL = """
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'kind', ARGV[1], 'fields', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', KEYS[1], id .. ' ' .. ARGV[1] .. ' ' .. ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as Redis has it; its id is its place in the stream, and Redis' time in milliseconds."""

    id: str
    kind: str
    fields: dict[str, Any]

    @property
    def position(self) -> tuple[int, int]:
        """Its place in the stream, to be compared."""
        return position(self.id)

    @property
    def time(self) -> datetime:
        """When Redis got it."""
        return datetime.fromtimestamp(self.position[0] / 1000, UTC)


def position(name: str) -> tuple[int, int]:
    """The place in a stream that an id names; ValueError where it is none."""
    milliseconds, _, number = name.partition("-")
    return int(milliseconds), int(number)


def started(uuid: UUID, attempt: int) -> None:
    """Tell that a worker has begun."""
    tell(uuid, "started", attempt=attempt)


def layer_started(uuid: UUID, attempt: int, layer: Layer) -> None:
    """Tell that a layer has begun."""
    tell(uuid, "layer_started", path=layer.path, kind=layer.kind, attempt=attempt)


def layer_ended(uuid: UUID, attempt: int, result: Result) -> None:
    """Tell that a layer's result is written down."""
    usage = result.usage
    tell(
        uuid,
        "layer_ended",
        path=result.path,
        state="passed" if result.passed else "failed",
        reason=result.reason,
        seconds=round(result.seconds, 3),
        calls=len(result.calls),
        usage=usage.as_json() if usage else None,
        attempt=attempt,
    )


def delta(uuid: UUID, attempt: int, path: str, call: int, offset: int, text: str) -> None:
    """Tell a piece of what a model says in a layer's call, which begins after so many characters of it."""
    tell(uuid, "delta", path=path, attempt=attempt, call=call, offset=offset, text=text)


def delta_reset(uuid: UUID, attempt: int, path: str, call: int) -> None:
    """Tell that the deltas of a layer's call are void: its answer broke off, or is asked for again."""
    tell(uuid, "delta_reset", path=path, attempt=attempt, call=call)


def ended(uuid: UUID, status: str) -> None:
    """Tell that an execution has ended; readers take everything else from its row, the reason too."""
    tell(uuid, "ended", status=status)


def tell(uuid: UUID, kind: str, /, **fields: Any) -> None:
    """Add an event to the stream of an execution; never blocks, never fails."""
    text = strict_json.dumps(fields)
    broker.courier().send("EVAL", _TELL, 1, channel(uuid), kind, text, LENGTH, STREAM_SECONDS, patient=True)


def channel(uuid: UUID) -> str:
    """The stream of an execution, and the channel on which each of its events is rung."""
    return f"strata:events:{uuid}"


def heard(message: bytes) -> Event:
    """The event in a ring; ValueError where there is none."""
    name, kind, text = message.decode().split(" ", 2)
    return _event(name, kind, text)


def after(client: "redis.Redis", uuid: UUID, name: str | None = None) -> Sequence[Event] | None:
    """What an execution's stream holds after an event, or in all; None where that event is not in it any more."""
    return entries(client, channel(uuid), name)


def newest(client: "redis.Redis", uuid: UUID) -> str | None:
    """The id of the last event in an execution's stream, None where it is empty."""
    return tip(client, channel(uuid))


def entries(client: "redis.Redis", stream: str, name: str | None = None) -> Sequence[Event] | None:
    """As `after`, of any stream that is written like these."""
    rows: Any = client.xrange(stream, min=name or "-")
    found = [_event(place.decode(), each[b"kind"].decode(), each[b"fields"].decode()) for place, each in rows]
    if name is None:
        return found
    return found[1:] if found and found[0].id == name else None


def tip(client: "redis.Redis", stream: str) -> str | None:
    """As `newest`, of any stream that is written like these."""
    found: Any = client.xrevrange(stream, count=1)
    return found[0][0].decode() if found else None


def _event(name: str, kind: str, text: str) -> Event:
    return Event(name, kind, json.loads(text))
