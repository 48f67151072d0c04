"""How events are written on the wire: `text/event-stream`, as the WHATWG's HTML standard has it."""

import json
from typing import Any

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
