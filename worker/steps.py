"""Runs layers one behind the other, and what is inside of them; each result is handed over before anything uses it."""

import math
import threading
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from shared import conditions
from shared.errors import LayerFailed, Parked
from shared.plan import PREVIOUS, SKIPPED, Layer, Result

#: Said of a result: nothing comes after it in the whole run.
NOTHING: Final = "nothing"
Behind = Literal["nothing"] | Layer | None
#: Between two looks whether it is still worth waiting for layers.
CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Host:
    """What a run asks of the outside.

    `run_layer` gets a layer, the values that its references may name, and what is inside of it; it returns a result.
    `record` is called with each result and what comes after it: NOTHING, or the layer that is run at once behind it,
    at its path; None where that is another thing. `spawn` runs a function on another
    thread, False where none is free, and then nothing happens. `check` is asked now and then while layers are waited
    for; what it raises ends the run at once.
    """

    run_layer: "Callable[[Layer, Mapping[str, Any], Inner], Result]"
    record: Callable[[Result, "Behind"], None]
    spawn: Callable[[Callable[[], None]], bool]
    check: Callable[[], None] = lambda: None


class Failed(Exception):
    """A layer has failed, and what comes after it does not run."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(result.reason)


class Steps:
    """Runs layers in their order; `done` are the results of those that ran before, by path."""

    def __init__(self, done: Mapping[str, Result], host: Host) -> None:
        self._done = done
        self.host = host

    def run(
        self,
        layers: tuple[Layer, ...],
        prefix: str,
        scope: dict[str, Any],
        *,
        until: float = math.inf,
        closes: Callable[[], bool] = lambda: False,
    ) -> Any:
        """Return the output of the last layer that was not skipped, SKIPPED without one; Failed where one fails.

        `scope` has what references may name, and gets what the layers give. `closes` says, once the last layer has
        passed, whether nothing comes after it in the whole run.
        """
        given: Any = SKIPPED
        for index, layer in enumerate(layers):
            at = _placed(layer, prefix)
            if not layer.reads <= scope.keys():
                continue
            result = self._done.get(at.path)
            if result is None:
                result = self._result(at, scope, until)
                if layer is layers[-1]:
                    self.host.record(result, NOTHING if result.passed and closes() else None)
                else:
                    names = scope.keys() | {PREVIOUS, layer.name}
                    self.host.record(result, self._behind(result, _placed(layers[index + 1], prefix), names))
            if not result.passed:
                raise Failed(result)
            if not result.skipped:
                given = scope[PREVIOUS] = result.output
                if layer.name is not None:
                    scope[layer.name] = given
        return given

    def skips(self, path: str, when: str, scope: Mapping[str, Any]) -> bool:
        """True where a property's condition does not hold, which is recorded; Failed where it does not fit."""
        result = self._done.get(path)
        if result is None:
            result = _skipped(path, when, scope)
            if result is not None:
                self.host.record(result, None)
        if result is not None and not result.passed:
            raise Failed(result)
        return result is not None

    def _behind(self, result: Result, following: Layer, names: Set[str | None]) -> Layer | None:
        """The layer that follows, where nothing can come between it and a result; `names` is what it may refer to."""
        if not result.passed or result.skipped or following.when is not None or following.path in self._done:
            return None
        return following if following.reads <= names else None

    def _result(self, layer: Layer, scope: Mapping[str, Any], until: float) -> Result:
        skipped = _skipped(layer.path, layer.when, scope) if layer.when is not None else None
        return skipped or self.host.run_layer(layer, scope, Inner(self, layer, scope, until))


class Inner:
    """What is inside of a layer: the layer's kind runs it, as often as it likes, until its time is over."""

    def __init__(self, steps: Steps, layer: Layer, scope: Mapping[str, Any], until: float) -> None:
        self._steps = steps
        self._layer = layer
        self._scope = scope
        #: When the time of the layer around this one is over, on the monotonic clock.
        self.until = until

    def within(self, until: float) -> "Inner":
        """The same, with less time."""
        return Inner(self._steps, self._layer, self._scope, min(self.until, until))

    def run(self, values: Mapping[str, Any], suffix: str) -> Any:
        """Run the layers with further values, under the path of the layer and a suffix; LayerFailed where one fails."""
        scope = {**self._scope, **values}
        try:
            return self._steps.run(self._layer.layers, f"{self._layer.path}{suffix}", scope, until=self.until)
        except Failed as failed:
            raise failure(failed.result) from None

    def each(self, count: int, work: Callable[[int], None], concurrency: int) -> None:
        """Call `work` with 0 to `count` - 1, so many at once, on this thread too; what one raises ends the rest."""
        _Crew(count, work, self._steps.host).run(concurrency)


def _placed(layer: Layer, prefix: str) -> Layer:
    path = f"{prefix}/{layer.segment}"
    return layer if layer.path == path else replace(layer, path=path)


def failure(result: Result) -> LayerFailed:
    """What a layer around it tells of a layer that has failed."""
    return LayerFailed(result.reason or "internal", f"{result.path}: {result.error}")


class _Crew:
    """Threads that take numbers until there are no more; the one that asked works too, and so never waits for one."""

    def __init__(self, count: int, work: Callable[[int], None], host: Host) -> None:
        self._count = count
        self._work = work
        self._host = host
        self._next = 0
        self._running = 0
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()

    def run(self, concurrency: int) -> None:
        for _ in range(min(concurrency, self._count) - 1):
            if not self._host.spawn(self._take_turns):
                break
        self._take_turns()
        with self._changed:
            while self._running:
                self._changed.wait(CHECK_SECONDS)
                self._host.check()
        if self._errors:
            raise _gravest(self._errors)

    def _take_turns(self) -> None:
        while (number := self._take()) is not None:
            error = None
            try:
                self._work(number)
            except BaseException as caught:
                # Raised where the work was asked for: here it would end a thread that nobody waits for.
                error = caught
            self._put_back(error)

    def _take(self) -> int | None:
        with self._changed:
            if self._errors or self._next >= self._count:
                return None
            self._running += 1
            self._next += 1
            return self._next - 1

    def _put_back(self, error: BaseException | None) -> None:
        with self._changed:
            self._running -= 1
            if error is not None:
                self._errors.append(error)
            self._changed.notify_all()


def _gravest(errors: list[BaseException]) -> BaseException:
    """The first that is no mere wait, else the shortest wait."""
    waits = [each for each in errors if isinstance(each, Parked)]
    others = [each for each in errors if not isinstance(each, Parked)]
    return others[0] if others else min(waits, key=lambda each: each.seconds)


def _skipped(path: str, when: str, scope: Mapping[str, Any]) -> Result | None:
    """The result of a layer or property whose condition does not hold, or does not fit; None where it holds."""
    try:
        return None if conditions.holds(when, scope) else Result(path, passed=True, seconds=0.0, skipped=True)
    except LayerFailed as error:
        return Result(path, passed=False, seconds=0.0, error=str(error), reason=error.reason)
