"""The dialect of Standard Webhooks: type, time, and what is known of the event, under our own names."""

from collections.abc import Sequence
from typing import Any

from shared import clock
from shared.notices._notice import Notice
from shared.notices._signing import standard

NAME = "standard"
EVENTS = ("execution.ended", "execution.expiring", "document.ended", "knowledge.ended")


def body(notice: Notice) -> dict[str, Any]:
    """`{type, timestamp, data}`; the time is that of the event."""
    return {"type": notice.event, "timestamp": clock.rfc3339(notice.created_at), "data": dict(notice.data)}


def headers(notice: Notice, written: bytes, secrets: Sequence[str], moment: int) -> dict[str, str]:
    """Name, time and signatures."""
    return standard(notice.uuid, written, secrets, moment)
