"""One call on its way from arrival to end, so that it is booked exactly once, however it ends."""

import asyncio
from collections.abc import Callable

from deploy.demo_model.calls import Call, Calls
from deploy.demo_model.connection import Connection


class Exchange:
    """Writes a call's answer, at once or in pieces over time, and notices the client's leaving."""

    __slots__ = ("_call", "_calls", "_connection", "_loop", "_started", "_status", "_timer", "_usage", "on_ended")

    def __init__(self, call: Call, calls: Calls, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._call = call
        self._calls = calls
        self._connection = connection
        self._loop = loop
        self._started = loop.time()
        self._status: int | None = None
        self._usage: dict[str, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.on_ended: Callable[[], None] | None = None
        connection.on_lost = self._lost

    def send(self, answer: bytes, *, status: int, usage: dict[str, int] | None = None) -> None:
        """Send a whole answer; the call has ended once the operating system has all of it."""
        self._status, self._usage = status, usage
        self.conclude(answer)

    def begin(self, piece: bytes, *, status: int, usage: dict[str, int] | None = None) -> None:
        """Send the first piece of an answer, its status line included; `usage` is booked if the whole gets there."""
        self._status, self._usage = status, usage
        self._connection.write(piece)

    def go_on_without(self, answer: bytes, *, status: int) -> Callable[..., None]:
        """Send an answer to a call that goes on without its client; what is returned ends the call.

        It takes the call's `usage`, and whether it was `cut`.
        """
        self._status = status
        self._connection.write(answer)
        self._connection.complete()

        def end(*, usage: dict[str, int] | None, cut: bool = False) -> None:
            self._usage = usage
            self._end(cut=cut, whole=not cut)

        return end

    def go_on(self, piece: bytes, step: Callable[[], None], *, after_seconds: float = 0) -> None:
        """Send one more piece, and take the next step once it is out and the time is over."""
        self._connection.write(piece)
        self._connection.when_drained(lambda: self.later(after_seconds, step))

    def conclude(self, piece: bytes) -> None:
        """Send the last piece; the call has ended once the operating system has it."""
        self._connection.write(piece)
        self._connection.when_drained(self.finish)

    def later(self, seconds: float, step: Callable[[], None]) -> None:
        """Take a step after a while, unless the client is gone by then."""
        self._timer = self._loop.call_later(seconds, step)

    def finish(self) -> None:
        """The answer is complete."""
        self._end(cut=False, whole=True)
        self._connection.complete()

    def hang_up(self, *, reset: bool = False) -> None:
        """Leave the client with what it has."""
        self._end(cut=False, whole=False)
        if reset:
            self._connection.reset()
        else:
            self._connection.close()

    def _lost(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._end(cut=True, whole=False)

    def _end(self, *, cut: bool, whole: bool) -> None:
        seconds = self._loop.time() - self._started
        # Tokens that were never delivered are on nobody's bill here.
        usage = self._usage if whole else None
        if self.on_ended is not None:
            self.on_ended()
        self._calls.end(self._call, seconds=seconds, status=self._status, usage=usage, cut=cut, whole=whole)
