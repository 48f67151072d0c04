"""Statements that Postgres parses and plans once a connection, instead of every time.

Planning took longer than running for most of the protocol's. Connections are ours alone, so what is prepared on one
stays there; a pooler that hands them around between transactions has to be one of sessions.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData

_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class Statement:
    """SQL with `:named` parameters; call it with a connection and their values."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._names = list(dict.fromkeys(_NAMED.findall(sql)))
        numbered = _NAMED.sub(lambda match: f"${self._names.index(match[1]) + 1}", sql)
        self._name = f"strata_{hashlib.sha256(numbered.encode()).hexdigest()[:16]}"
        self._prepare = f"PREPARE {self._name} AS {numbered}"
        self._execute = f"EXECUTE {self._name}"
        if self._names:
            self._execute += f" ({', '.join(['%s'] * len(self._names))})"
        self._columns: SimpleResultMetaData | None = None

    def __call__(self, connection: Connection, values: Mapping[str, Any] | None = None) -> "Rows":
        """Run it, all rows read; KeyError for a parameter without a value, SQLAlchemy's errors where it fails.

        The driver runs it: what SQLAlchemy adds to a statement cost as much again.
        """
        given = tuple([(values or {})[name] for name in self._names])
        lent = connection.connection
        with closing(lent.cursor()) as cursor:
            try:
                if self._name not in (prepared := lent.info.setdefault("prepared", set())):
                    cursor.execute(self._prepare)
                    prepared.add(self._name)
                cursor.execute(self._execute, given or None)
                if cursor.description is None:
                    return Rows(_NO_COLUMNS, iter(()), cursor.rowcount)
                rows = cursor.fetchall()
            except psycopg2.Error as error:
                # It looks whether the connection is of use any more, and wraps the error as any other statement's.
                connection._handle_dbapi_exception(error, self._execute, given, cursor, None)
        if self._columns is None:
            self._columns = SimpleResultMetaData([column[0] for column in cursor.description])
        return Rows(self._columns, iter(rows), cursor.rowcount)


class Rows(IteratorResult[Any]):
    """What a statement gave, and how many rows it found or changed."""

    def __init__(self, columns: SimpleResultMetaData, rows: Iterator[Any], count: int) -> None:
        super().__init__(columns, rows)
        self.rowcount = count


_NO_COLUMNS = SimpleResultMetaData(())
