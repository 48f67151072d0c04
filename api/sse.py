"""How events are written on the wire: `text/event-stream`, as the WHATWG's HTML standard has it."""

import json
import select
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Response

CONTENT_TYPE = "text/event-stream"
#: What keeps proxies from taking a silent stream for a dead one.
COMMENT = b":\n\n"


def event(kind: str, name: str | None, body: dict[str, Any]) -> bytes:
    """One event; without a name the client keeps the one that it had, and comes back with that."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
    line = "" if name is None else f"id: {name}\n"
    return f"event: {kind}\n{line}data: {text}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """How long a client waits before it comes back."""
    return f"retry: {milliseconds}\n\n".encode()


def response(frames: Iterator[bytes]) -> Response:
    """An answer of frames that is sent as they come."""
    found = Response(frames, content_type=CONTENT_TYPE)
    found.headers["Cache-Control"] = "no-store"
    # A proxy that gathers answers would keep events back; nginx asks for this.
    found.headers["X-Accel-Buffering"] = "no"
    return found


def left(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Says whether the client has closed its connection, which is else found out by the second of two writes."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return lambda: False

    def left() -> bool:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    return left
