"""Places in a bucket of calls: who asks for one, what comes of that, and what it was used for."""

from dataclasses import dataclass
from typing import NamedTuple

from shared.providers import Limits


class Asker(NamedTuple):
    """An execution by its uuid, and whose it is. It stands in line once, however many calls it has."""

    id: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What came of a reservation: `granted` after `wait` seconds, ask `again` then, or `parked` until then."""

    bucket: str
    limits: Limits
    id: str
    estimate: float
    step: str = "granted"
    wait: float = 0.0
    reserved: float = 0.0
    #: Who keeps the books of it: `redis`, `process`, or nobody, because there is no limit.
    kept_by: str = ""


class Place:
    """A call's place in its bucket, while it is under way."""

    def __init__(self) -> None:
        self.used_tokens: int | None = None
        self.sent = True

    def used(self, tokens: int) -> None:
        """Say what the provider counted; what is not said stays as it was reserved."""
        self.used_tokens = tokens

    def unsent(self) -> None:
        """Say that nothing reached the provider: it all goes back."""
        self.sent = False
