"""Runs a plan: properties as a graph, independent ones at once, layers in order. Pure; it knows no outside.

A layer that is done is never run again. A property whose layer fails takes with it what depends on it, and nothing
else: whatever can still be computed is, so that the same failure always leaves the same results.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from shared.plan import Layer, Outcome, Plan, Property, Result

RunLayer = Callable[[Layer, Mapping[str, Any]], Result]
Record = Callable[[Result], None]
#: Runs a function on another thread; False where none is free, and then nothing happens.
Spawn = Callable[[Callable[[], None]], bool]
#: Between two looks whether it is still worth waiting for layers.
CHECK_SECONDS = 1.0


def run(
    plan: Plan,
    inputs: Mapping[str, Any],
    done: Mapping[str, Any],
    *,
    run_layer: RunLayer,
    record: Record,
    spawn: Spawn,
    check: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run what is not done, and return the document and the failures.

    `done` has the outputs of the layers that passed before, by path. `run_layer` gets a layer and the values that its
    references may name, and returns a result; `record` is called with each, before anything uses it. What either
    raises (the claim is lost, the execution must stop) ends the run once no layer is running, and is raised here.
    What `check` raises, which is asked now and then while layers are waited for, ends it at once.
    """
    return _Run(plan, inputs, done, run_layer, record, spawn, check).outcome()


class _Run:
    """One run. The thread that asks for the outcome works too, so a run never waits for a thread to be free."""

    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        done: Mapping[str, Any],
        run_layer: RunLayer,
        record: Record,
        spawn: Spawn,
        check: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._done = done
        self._run_layer = run_layer
        self._record = record
        self._spawn = spawn
        self._check = check
        self._values: dict[str, Any] = dict(inputs)
        self._failures: dict[str, Result] = {}
        self._missing = {each.name: set(each.needs) for each in plan.properties}
        self._ready = deque(each for each in plan.properties if not each.needs)
        self._running = 0
        self._broken: BaseException | None = None
        self._changed = threading.Condition()

    def outcome(self) -> Outcome:
        self._hire(len(self._ready) - 1)
        while self._next_or_wait():
            self._work()
        if self._broken is not None:
            raise self._broken
        return Outcome(None if self._failures else self._plan.document(self._values), self._failures)

    def _next_or_wait(self) -> bool:
        """Wait until a property is ready; False once there will be no more."""
        with self._changed:
            while self._running and not self._ready:
                self._changed.wait(CHECK_SECONDS)
                self._check()
            return bool(self._ready)

    def _hire(self, count: int) -> None:
        for _ in range(count):
            if not self._spawn(self._work):
                return

    def _work(self) -> None:
        """Work on properties while any is ready."""
        while (each := self._take()) is not None:
            failure, value = None, None
            try:
                failure, value = self._compute(each)
            except BaseException as error:
                # Kept for whoever asked for the outcome: raised here, it would end a thread that nobody waits for.
                self._stop(error)
            self._hire(self._settle(each, failure, value) - 1)

    def _take(self) -> Property | None:
        with self._changed:
            if not self._ready:
                return None
            self._running += 1
            return self._ready.popleft()

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._broken = self._broken or error
            self._ready.clear()

    def _settle(self, each: Property, failure: Result | None, value: Any) -> int:
        """Note what a property came to; returns how many became ready by it."""
        with self._changed:
            self._running -= 1
            found: list[Property] = []
            if failure is not None:
                self._failures[each.name] = failure
            elif self._broken is None:
                self._values[each.name] = value
                found = [other for other in self._plan.properties if self._became_ready(other, each.name)]
                self._ready.extend(found)
            self._changed.notify_all()
            return len(found)

    def _became_ready(self, other: Property, name: str) -> bool:
        missing = self._missing[other.name]
        if name not in missing:
            return False
        missing.discard(name)
        return not missing

    def _compute(self, each: Property) -> tuple[Result | None, Any]:
        """Run the layers of a property; returns the failure, or the value of the last layer."""
        scope = dict(self._values)
        previous = None
        for layer in each.layers:
            if layer.path in self._done:
                previous = self._done[layer.path]
            else:
                result = self._run_layer(layer, scope)
                self._record(result)
                if not result.passed:
                    return result, None
                previous = result.output
            scope["previous"] = previous
            if layer.name is not None:
                scope[layer.name] = previous
        return None, previous
