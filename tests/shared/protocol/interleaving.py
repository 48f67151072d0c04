"""Runs two callers on two connections, their statements in every order that Postgres allows.

Each caller halts before each of its statements and before its COMMIT; one of those who could go on is let go, and the
next is chosen once it halts again, has ended, or waits for a lock. What was chosen is then varied, the last first.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from shared import db
from shared.errors import StrataError
from tests import cursors

Calls = Sequence[Callable[[], Any]]

#: Longer than any wait that is not for the other caller, in seconds.
_PATIENCE_SECONDS = 20.0
#: What has no effect on anybody else goes at once.
_PRIVATE = ("BEGIN", "PREPARE", "SET LOCAL")
_WAITS = text("SELECT cardinality(pg_blocking_pids(:pid)) > 0")
_here = threading.local()


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the name of the error that it raises."""
    try:
        return call()
    except StrataError as error:
        return type(error).__name__


class _Side:
    """One caller, in a thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.outcome: Any = None
        self.ended = False
        self.waits = False
        self._call = call
        self._pid = 0
        self._halted = threading.Event()
        self._go = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        _here.side = self
        try:
            self.outcome = outcome(self._call)
        except Exception as error:
            self.outcome = error
        self.ended = True
        self._halted.set()

    def halt(self, pid: int) -> None:
        """Wait for leave to send a statement, in the thread of the caller."""
        self._pid = pid
        self._halted.set()
        assert self._go.wait(_PATIENCE_SECONDS), "nobody lets this caller go on"
        self._go.clear()

    def go(self) -> None:
        """Let it send the statement that it halts before."""
        self._halted.clear()
        self._go.set()

    def settle(self, observer: Connection) -> None:
        """Come back when it halts, has ended, or `waits` for a lock."""
        for _ in range(int(_PATIENCE_SECONDS * 1000)):
            self.waits = False
            if self._halted.wait(0.001):
                return
            self.waits = observer.execute(_WAITS, {"pid": self._pid}).scalar_one()
            if self.waits:
                return
        raise AssertionError("a statement neither ends nor waits for a lock")


def run_in_order(calls: Calls, order: Sequence[int]) -> tuple[list[Any], list[int]]:
    """Run two calls by an order of choices; returns what they returned or raised, and the choices that there were."""
    made: list[int] = []
    with cursors.watched(_halt), db.autocommit() as observer:
        sides = [_Side(call) for call in calls]
        while not all(side.ended for side in sides):
            for side in sides:
                side.settle(observer)
            free = [side for side in sides if not side.ended and not side.waits]
            if len(free) == 2:
                made.append(order[len(made)] if len(made) < len(order) else 0)
                free = [free[made[-1]]]
            for side in free:
                side.go()
        for side in sides:
            side.thread.join(_PATIENCE_SECONDS)
    return [side.outcome for side in sides], made


def every_order(prepare: Callable[[], Calls]) -> Iterator[tuple[list[int], list[Any]]]:
    """Run what `prepare` makes anew each time, in every order; gives each order with what came of it."""
    order: list[int] | None = []
    while order is not None:
        outcomes, made = run_in_order(prepare(), order)
        yield made, outcomes
        order = _next(made)


def _next(made: list[int]) -> list[int] | None:
    while made and made[-1] == 1:
        made = made[:-1]
    return [*made[:-1], 1] if made else None


def _halt(statement: str, pid: int) -> None:
    side = getattr(_here, "side", None)
    if side is not None and not statement.startswith(_PRIVATE):
        side.halt(pid)
