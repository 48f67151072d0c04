"""Lends connections to one block after the other, and keeps them open between.

Opening one of SQLAlchemy's connections and closing it again, out of its own pool, costs the interpreter as much as a
statement. Kept open, it costs a look whether the server is still there.
"""

import select
from collections import deque
from contextlib import suppress

from sqlalchemy import Connection, Engine, exc

from shared.seats import Seats


class Lender:
    """The connections of a process to one database, at most so many; the one that came back last goes first."""

    def __init__(self, engine: Engine, *, connections: int, wait_seconds: float) -> None:
        """`engine` has no pool of its own; `wait_seconds` is how long `lend` waits for one that is free."""
        self._engine = engine
        self._wait_seconds = wait_seconds
        self._free = Seats(connections)
        self._idle: deque[Connection] = deque()
        self._closed = False

    def lend(self) -> Connection:
        """A connection that is open, to be given back; exc.TimeoutError where none is free in time."""
        if not self._free.take(self._wait_seconds):
            raise exc.TimeoutError("every connection is in use")
        try:
            return self._kept() or self._engine.connect()
        except BaseException:
            self._free.give_back()
            raise

    def take_back(self, connection: Connection) -> None:
        """Keep a connection for the next; one that broke, and all that were idle when it did, are let go."""
        try:
            if connection.invalidated:
                # What ended this one has most likely ended them too, and not every one shows it.
                self._let_go()
            if self._closed or connection.invalidated:
                connection.close()
                return
            if connection.get_transaction() is not None:
                # SQLAlchemy's own idea of one; the blocks end those of the server.
                connection.rollback()
            self._idle.append(connection)
        except exc.DBAPIError:
            connection.invalidate()
            connection.close()
        finally:
            self._free.give_back()

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        self._let_go()

    def _kept(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not _has_something_to_read(connection):
                return connection
            connection.invalidate()
            connection.close()
        return None

    def _let_go(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _has_something_to_read(connection: Connection) -> bool:
    # An idle connection that has was closed by the server: a look at the socket is a hundred times cheaper than a ping.
    poll = select.poll()
    poll.register(connection.connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
