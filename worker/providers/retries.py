"""The one retry policy: full jitter, what the provider asks for, and a budget that an outage uses up."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying

from worker.providers.faults import ProviderFault

#: Full jitter: a wait is anywhere between nothing and this many seconds, doubled at each retry up to the longest.
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
#: A wait up to this is spent in the worker; a longer one frees its slot.
SHORT_SECONDS = 5.0
#: What a success adds to the budget of its line, what a retry takes, and the most that is saved.
BUDGET_GAIN = 0.1
BUDGET_CAP = 10.0
#: Lines beyond this are forgotten.
MOST_LINES = 5000

T = TypeVar("T")


class Postponed(Exception):
    """The next try is worth making, and too far away to wait for it here; `fault` is what the last one met."""

    def __init__(self, seconds: float, fault: ProviderFault) -> None:
        self.seconds = seconds
        self.fault = fault
        super().__init__(f"the next try is due in {seconds:.1f} s")


class Budget:
    """What each line may spend on retries: in a long outage they stay a tenth of its traffic."""

    def __init__(self) -> None:
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, line: str) -> bool:
        """Take a retry, if there is one left."""
        with self._lock:
            left = self._left.get(line, BUDGET_CAP)
            if left < 1.0:
                return False
            self._left[line] = left - 1.0
            return True

    def gain(self, line: str) -> None:
        """A call of the line succeeded."""
        with self._lock:
            left = self._left.get(line)
            if left is None:
                return
            # A full one need not be remembered.
            if left + BUDGET_GAIN >= BUDGET_CAP or len(self._left) > MOST_LINES:
                del self._left[line]
            else:
                self._left[line] = left + BUDGET_GAIN


class Retries:
    """Runs a call again while that can help."""

    def __init__(self) -> None:
        self._budget = Budget()

    def run(
        self,
        call: Callable[[], T],
        *,
        line: str,
        attempts: int,
        left: Callable[[], float],
        rest: Callable[[float], None],
    ) -> T:
        """Call, at most so many times, until it succeeds; the last ProviderFault, or Postponed, where it does not.

        `left` tells the seconds that are left, `rest` waits.
        """
        try:
            found = call()
        except ProviderFault as first:
            # Only now: a policy costs as much as reading an answer, and hardly any is ever asked.
            found = self._policy(line, attempts, left, rest)(_after(first, call))
        self._budget.gain(line)
        return found

    def _policy(self, line: str, attempts: int, left: Callable[[], float], rest: Callable[[float], None]) -> Retrying:
        weighed = _Weighed()

        def ends(state: RetryCallState) -> bool:
            wait = state.upcoming_sleep
            return (
                state.attempt_number >= attempts
                or (wait <= SHORT_SECONDS and wait >= left())
                # Last, for it takes.
                or not self._budget.take(line)
            )

        def sleep(state: RetryCallState) -> None:
            if state.upcoming_sleep > SHORT_SECONDS:
                raise Postponed(state.upcoming_sleep, _fault(state))

        return Retrying(retry=weighed.helps, stop=ends, wait=_wait, before_sleep=sleep, sleep=rest, reraise=True)


def _after(first: ProviderFault, call: Callable[[], T]) -> Callable[[], T]:
    """A call whose first try has met a fault already."""
    met = [first]

    def again() -> T:
        if met:
            raise met.pop()
        return call()

    return again


class _Weighed:
    """Says whether another try can help, knowing the faults before."""

    def __init__(self) -> None:
        self._once = False

    def helps(self, state: RetryCallState) -> bool:
        fault = state.outcome.exception() if state.outcome else None
        if not isinstance(fault, ProviderFault) or not fault.retryable:
            return False
        if fault.retryable_once:
            if self._once:
                return False
            self._once = True
        return True


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: what the provider asks for, else full jitter."""
    asked = _fault(state).retry_after_seconds
    if asked is not None:
        return asked
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1))
    return random.uniform(0, longest)  # noqa: S311


def _fault(state: RetryCallState) -> ProviderFault:
    fault = state.outcome.exception() if state.outcome else None
    assert isinstance(fault, ProviderFault)
    return fault
