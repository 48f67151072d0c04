"""Runs a plan: properties as a graph, independent ones at once, layers in order. Pure; it knows no outside.

A layer that has ended is never run again. A property whose layer fails takes with it what depends on it, and nothing
else: whatever can still be computed is, so that the same failure always leaves the same results. What is skipped takes
with it what cannot do without it.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from shared.errors import Parked
from shared.plan import SKIPPED, UNFORGIVEN, Outcome, Plan, Property, Result
from worker.steps import CHECK_SECONDS, Failed, Host, Steps


def run(
    plan: Plan,
    inputs: Mapping[str, Any],
    done: Mapping[str, Result],
    host: Host,
    *,
    prefix: str = "",
    until: float = math.inf,
) -> Outcome:
    """Run what is not done, and return the document and the failures that stand.

    `done` has the results of the layers that ended before, by path; the paths of this run begin with `prefix`, its time
    is over at `until` (monotonic). What a layer or a record raises (the claim is lost, the execution must stop) ends
    the run once no layer is running, and is raised here. Parked, with the shortest wait, where a layer must wait longer
    than is worth a slot and everything else has come as far as it can.
    """
    return _Run(plan, inputs, Steps(done, host), prefix, until).outcome()


class _Run:
    """One run. The thread that asks for the outcome works too, so a run never waits for a thread to be free."""

    def __init__(self, plan: Plan, inputs: Mapping[str, Any], steps: Steps, prefix: str, until: float) -> None:
        self._plan = plan
        self._steps = steps
        self._prefix = prefix
        self._until = until
        self._values: dict[str, Any] = dict(inputs)
        self._failures: dict[str, Result] = {}
        self._missing = {each.name: set(each.needs) for each in plan.properties}
        self._ready = deque(each for each in plan.properties if not each.needs)
        self._unsettled = len(plan.properties)
        self._running = 0
        self._parked: list[Parked] = []
        self._broken: BaseException | None = None
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def outcome(self) -> Outcome:
        self._hire(len(self._ready) - 1)
        while self._next_or_wait():
            self._work()
        if self._broken is not None:
            raise self._broken
        if self._parked:
            raise min(self._parked, key=lambda each: each.seconds)
        return Outcome(None if self._failures else self._plan.document(self._values), self._failures)

    def _next_or_wait(self) -> bool:
        """Wait until a property is ready; False once there will be no more."""
        with self._lock:
            while self._running and not self._ready:
                self._changed.wait(CHECK_SECONDS)
                self._steps.host.check()
            return bool(self._ready)

    def _hire(self, count: int) -> None:
        for _ in range(count):
            if not self._steps.host.spawn(self._work):
                return

    def _work(self) -> None:
        """Work on properties while any is ready."""
        while (each := self._take()) is not None:
            try:
                freed = self._settle(each, self._value(each))
            except Failed as failed:
                freed = self._settle_failed(each, failed.result)
            except Parked as parked:
                freed = self._leave(parked, None)
            except BaseException as error:
                # Kept for whoever asked for the outcome: raised here, it would end a thread that nobody waits for.
                freed = self._leave(None, error)
            self._hire(freed - 1)

    def _take(self) -> Property | None:
        with self._lock:
            if not self._ready:
                return None
            self._running += 1
            return self._ready.popleft()

    def _value(self, each: Property) -> Any:
        """Run the layers of a property; its value, or SKIPPED. Failed where one of them fails."""
        with self._lock:
            scope = dict(self._values)
        path = f"{self._prefix}{each.name}"
        if not each.needs - each.optional <= scope.keys():
            return SKIPPED
        if each.when is not None and self._steps.skips(path, each.when, scope):
            return SKIPPED
        return self._steps.run(each.layers, path, scope, until=self._until, closes=self._closes)

    def _closes(self) -> bool:
        """True for the last layer of all: nothing else runs, nothing comes after, and everything has passed."""
        with self._lock:
            others = self._unsettled > 1 or self._failures or self._parked or self._broken
            return not self._prefix and not others

    def _settle(self, each: Property, value: Any) -> int:
        """Note what a property came to; returns how many became ready by it."""
        with self._lock:
            self._running -= 1
            self._unsettled -= 1
            found: list[Property] = []
            if self._broken is None:
                if value is not SKIPPED:
                    self._values[each.name] = value
                found = [other for other in self._plan.properties if self._became_ready(other, each.name)]
                self._ready.extend(found)
            self._changed.notify_all()
            return len(found)

    def _settle_failed(self, each: Property, failure: Result) -> int:
        if each.on_error == "fail" or failure.reason in UNFORGIVEN:
            with self._lock:
                self._failures[each.name] = failure
            return self._leave(None, None)
        return self._settle(each, each.default if each.on_error == "default" else SKIPPED)

    def _leave(self, parked: Parked | None, error: BaseException | None) -> int:
        """Give a property up: it has failed, must wait, or broke the run."""
        with self._lock:
            self._running -= 1
            if parked is not None:
                self._parked.append(parked)
            if error is not None:
                self._broken = self._broken or error
                self._ready.clear()
            self._changed.notify_all()
            return 0

    def _became_ready(self, other: Property, name: str) -> bool:
        missing = self._missing[other.name]
        if name not in missing:
            return False
        missing.discard(name)
        return not missing
