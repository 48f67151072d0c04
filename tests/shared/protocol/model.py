"""What the execution protocol promises, in memory: each change is a few lines that know no SQL."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.plan import Result, Usage

ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Expected:
    """One execution as it must be; `overdue`, `due` and `expired` are what the clock has brought about."""

    organization: int
    uuid: UUID
    queue: str
    status: str
    blocked_by: str | None = None
    attempt: int = 0
    deaths: int = 0
    worker: UUID | None = None
    cancelling: bool = False
    reason: str | None = None
    output: Any = None
    usage: dict[str, int] | None = None
    layers: dict[str, tuple[int, Result]] = field(default_factory=dict)
    #: What was used by attempt and number of the call: one that is recorded again is no other.
    books: dict[tuple[int, int], Usage] = field(default_factory=dict)
    #: The channel of its organization's one thread that it is on; the messages there when it was first claimed.
    channel: str | None = None
    heard: int = 0
    overdue: bool = False
    due: bool = False
    expired: bool = False
    erased: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def active(self) -> bool:
        """True where it is its turn on its thread, if it is on one."""
        return not self.ended and self.blocked_by not in ("thread", "schedule")

    @property
    def goes_on(self) -> bool:
        """True where it keeps others of its channel waiting; one that is due comes to its place at the next sweep."""
        return self.active or (self.blocked_by == "schedule" and self.due)

    @property
    def says(self) -> int:
        """How many messages it adds to its thread by succeeding."""
        return 2 * sum(result.said is not None for _, result in self.layers.values()) if self.channel else 0

    def owned_by(self, attempt: int) -> bool:
        """True where this attempt may write."""
        return self.status == "running" and self.attempt == attempt

    def queue_again(self) -> None:
        self.status, self.blocked_by, self.worker = "queued", None, None

    def wait(self, cause: str) -> None:
        self.status, self.blocked_by = "waiting", cause

    def go_on(self, cap: int | None) -> None:
        """Be queued, or wait for a place under a cap."""
        if cap is None:
            self.queue_again()
        else:
            self.wait("cap")

    def take(self, worker: UUID) -> None:
        self.status, self.worker, self.attempt = "running", worker, self.attempt + 1

    def takes(self, attempt: int, result: Result) -> bool:
        """Write a result down; False where another attempt's stands."""
        known = self.layers.get(result.path)
        if known and known[1].passed and known[0] != attempt:
            return False
        self.layers[result.path] = (attempt, result)
        self.books |= {(attempt, call.number): call.usage for call in result.calls if call.usage}
        return True

    def end(self, status: str, reason: str | None = None, output: Any = None) -> None:
        self.status, self.blocked_by, self.worker = status, None, None
        self.reason, self.output = reason, output
        self.usage = sum(self.books.values(), Usage()).as_json()

    def give_back(self) -> None:
        """Leave the worker: for the queue, or for good where it is to be cancelled."""
        if self.cancelling:
            self.end("cancelled", "cancelled")
        else:
            self.queue_again()

    def park(self) -> None:
        """Leave the worker until its time comes, or for good where it is to be cancelled."""
        if self.cancelling:
            self.end("cancelled", "cancelled")
        else:
            self.wait("pacing")
            self.worker, self.due = None, False

    def lose_worker(self, max_deaths: int) -> None:
        self.deaths += 1
        if not self.cancelling and self.deaths >= max_deaths:
            self.end("failed", "worker_lost")
        else:
            self.give_back()

    def passed_before(self, paths: Collection[str]) -> list[str]:
        """The first of these layers, as long as they have passed."""
        found: list[str] = []
        for path in paths:
            if path not in self.layers or not self.layers[path][1].passed:
                break
            found.append(path)
        return found


class Model:
    """Every execution by its id, every worker and whether it lives, every cap and every key."""

    def __init__(self) -> None:
        self.executions: dict[int, Expected] = {}
        self.workers: dict[UUID, bool] = {}
        self.keys: dict[tuple[int, str], tuple[bytes, int]] = {}
        self._caps: dict[int, int] = {}
        # How many may run all the same, since the cap was set below them.
        self._above: dict[int, int] = {}
        #: How many messages the thread of each organization has.
        self.said: Counter[int] = Counter()

    def cap(self, organization: int) -> int | None:
        return self._caps.get(organization)

    def limit(self, organization: int, cap: int | None) -> None:
        self._caps.pop(organization, None)
        if cap is not None:
            self._caps[organization] = cap
            self._above[organization] = self.count(organization, "running")

    def ceilings(self) -> dict[int, int]:
        """The most that may run of each organization with a cap; to be asked after every change."""
        for organization in self._caps:
            self._above[organization] = min(self._above[organization], self.count(organization, "running"))
        return {organization: max(cap, self._above[organization]) for organization, cap in self._caps.items()}

    def count(self, organization: int, *statuses: str) -> int:
        return sum(each.organization == organization and each.status in statuses for each in self.executions.values())

    def accept(self, execution_id: int, new: Expected, *, scheduled: bool) -> None:
        """Place a new execution: behind its schedule, behind its cap, or in the queue."""
        if scheduled:
            new.wait("schedule")
        elif any(each.goes_on or each.blocked_by == "thread" for each in self.beside(new)):
            new.wait("thread")
        elif self.room(new.organization) == 0:
            new.wait("cap")
        self.executions[execution_id] = new

    def beside(self, one: Expected) -> list[Expected]:
        """Those on the thread and channel of an execution, in the order of their acceptance."""
        return [
            each
            for _, each in sorted(self.executions.items())
            if one.channel and (each.organization, each.channel) == (one.organization, one.channel)
        ]

    def let_go(self, organization: int) -> int:
        """Let the next go on each channel where nobody goes on; returns how many have nothing else to wait for."""
        queued = 0
        for _, each in sorted(self.executions.items()):
            waits = each.organization == organization and each.blocked_by == "thread"
            if waits and not any(other.goes_on for other in self.beside(each)):
                each.go_on(self.cap(each.organization))
                queued += each.status == "queued"
        return queued

    def room(self, organization: int) -> int | None:
        """How many more of an organization may be queued or running; None for any number."""
        cap = self.cap(organization)
        return None if cap is None else max(0, cap - self.count(organization, "queued", "running"))

    def may_run(self, organization: int) -> bool:
        """True where one more of an organization may be running."""
        cap = self.cap(organization)
        return cap is None or self.count(organization, "running") < cap

    def claimable(self, queues: Collection[str]) -> set[int]:
        return {name for name, each in self.executions.items() if each.status == "queued" and each.queue in queues}

    def owned(self, worker: UUID) -> dict[int, tuple[int, bool]]:
        return {
            name: (each.attempt, each.cancelling) for name, each in self.executions.items() if each.worker == worker
        }

    def capped(self, organization: int) -> set[int]:
        """Those that wait for a place."""
        return {
            name
            for name, each in self.executions.items()
            if each.organization == organization and each.blocked_by == "cap"
        }

    def come_due(self) -> int:
        """Take what is due from its schedule or its parking; returns how many have nothing else to wait for."""
        due = [each for each in self.executions.values() if each.blocked_by in ("schedule", "pacing") and each.due]
        for each in due:
            if each.blocked_by == "schedule" and each.channel:
                each.wait("thread")
            else:
                each.go_on(self.cap(each.organization))
        return sum(each.status == "queued" for each in due)

    def rescue(self, max_deaths: int) -> None:
        for each in self.executions.values():
            if each.worker is not None and not self.workers.get(each.worker, False):
                each.lose_worker(max_deaths)

    def end_overdue(self) -> int:
        found = [each for each in self.executions.values() if each.overdue and not each.ended]
        for each in found:
            each.end("failed", "deadline")
        return len(found)

    def erase(self) -> int:
        found = [each for each in self.executions.values() if each.expired and not each.erased]
        for each in found:
            each.erased = True
        return len(found)

    def bury(self) -> dict[int, Expected]:
        """Forget what was erased, and its key; returns it."""
        gone = {name: each for name, each in self.executions.items() if each.erased}
        for name in gone:
            del self.executions[name]
        self.keys = {key: known for key, known in self.keys.items() if known[1] not in gone}
        return gone
