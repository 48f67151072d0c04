"""What is to be told, free of any dialect."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Notice:
    """One event; `uuid` is the same however often it is told.

    `data` is JSON. Of an execution's events it has its pipeline, and `prompt` says whether that gives one value, and so
    is what some call a prompt.
    """

    uuid: UUID
    event: str
    subject: UUID
    created_at: datetime
    data: Mapping[str, Any]
    prompt: bool = False
    #: Whether a vendor's body is to name the event.
    tells_event: bool = False
