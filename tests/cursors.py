"""Lets a test look at every statement before it is sent, whoever sends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2.extensions
from sqlalchemy import event

from shared import db


@contextmanager
def watched(see: Callable[[str, int], None]) -> Iterator[None]:
    """Call `see` with each statement and the process id of its connection's backend, during the block."""

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, statement: Any, *arguments: Any) -> None:
            see(statement, self.connection.get_backend_pid())
            super().execute(statement, *arguments)

    def lend(connection: Any, *_: Any) -> None:
        connection.cursor_factory = Cursor

    def take_back(connection: Any, *_: Any) -> None:
        connection.cursor_factory = None

    event.listen(db.engine(), "checkout", lend)
    event.listen(db.engine(), "checkin", take_back)
    try:
        yield
    finally:
        event.remove(db.engine(), "checkout", lend)
        event.remove(db.engine(), "checkin", take_back)
