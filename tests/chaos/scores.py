"""What a scenario has to show: counts from the books, and the promises that did not hold."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Scores:
    """One row of the scorecard. `excused` are the excess calls that a crash explains."""

    scenario: str
    seed: int
    submitted: int = 0
    accepted: int = 0
    ended: int = 0
    failed: int = 0
    lost: int = 0
    doubles: int = 0
    excess_calls: int = 0
    excused: int = 0
    stale_writes: int = 0
    duplicate_effects: int = 0
    misbooked: int = 0
    deaths: int = 0
    crashes: int = 0
    recoveries: list[float] = field(default_factory=list)
    #: What else there is to tell, such as how many points passed.
    notes: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """`holds`, `BROKEN` or `skipped`."""
        if self.skipped:
            return "skipped"
        return "BROKEN" if self.broken else "holds"

    def require(self, holds: object, promise: str) -> None:
        """Note a promise as broken unless it holds."""
        if not holds:
            self.broken.append(promise)

    def require_recovery(self, seconds: float) -> None:
        """Promise the 99th percentile of the recoveries; none at all breaks it too."""
        found = percentile(self.recoveries, 99)
        self.require(found <= seconds, f"recovery p99 {found:.1f} s, promised {seconds:g} s")

    def add(self, other: "Scores") -> None:
        """Add another part of the same scenario."""
        for name in (
            "submitted",
            "accepted",
            "ended",
            "failed",
            "lost",
            "doubles",
            "excess_calls",
            "excused",
            "stale_writes",
            "duplicate_effects",
            "misbooked",
            "deaths",
            "crashes",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recoveries += other.recoveries
        self.broken += other.broken


def say(text: str) -> None:
    """Tell who watches."""
    print(text, file=sys.stderr, flush=True)


def skipped(scenario: str, seed: int, why: str) -> Scores:
    """The row of a scenario that this machine cannot run."""
    return Scores(scenario, seed, skipped=why)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed, by nearest rank; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
