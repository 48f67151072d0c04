"""Lets a test look at every statement before it is sent, whoever sends it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg2.extensions
from sqlalchemy import Connection

from shared import db


@contextmanager
def watched(see: Callable[[str, int], None]) -> Iterator[None]:
    """Call `see` with each statement and the process id of its connection's backend, during the block."""

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, statement: Any, *arguments: Any) -> None:
            see(statement, self.connection.get_backend_pid())
            super().execute(statement, *arguments)

    lender = db.lender()
    lend, take_back = lender.lend, lender.take_back

    def lend_watched() -> Connection:
        connection = lend()
        connection.connection.dbapi_connection.cursor_factory = Cursor
        return connection

    def take_back_watched(connection: Connection) -> None:
        if not connection.invalidated:
            connection.connection.dbapi_connection.cursor_factory = None
        take_back(connection)

    with patch.object(lender, "lend", lend_watched), patch.object(lender, "take_back", take_back_watched):
        yield


@contextmanager
def sent_here() -> Iterator[list[str]]:
    """The statements that this thread sends during the block; what is prepared depends on which connection is free."""
    sent: list[str] = []
    here = threading.get_ident()

    def see(statement: str, pid: int) -> None:
        if threading.get_ident() == here and not statement.startswith("PREPARE"):
            sent.append(statement)

    with watched(see):
        yield sent
