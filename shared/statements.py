"""Statements that Postgres parses and plans once a connection, instead of every time.

Planning took longer than running for most of the protocol's. Connections are ours alone, so what is prepared on one
stays there; a pooler that hands them around between transactions has to be one of sessions.
"""

import hashlib
import re
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import MultipleResultsFound, NoResultFound

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
        self._row: Callable[..., Any] | None = None

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
                    return Rows((), cursor.rowcount)
                rows = cursor.fetchall()
            except psycopg2.Error as error:
                # It looks whether the connection is of use any more, and wraps the error as any other statement's.
                connection._handle_dbapi_exception(error, self._execute, given, cursor, None)
        if self._row is None:
            # A name that Python keeps for itself becomes that of the column's place.
            self._row = namedtuple("Row", [column[0] for column in cursor.description], rename=True)  # type: ignore[misc]
        return Rows([self._row(*row) for row in rows], cursor.rowcount)


class Rows:
    """What a statement gave, each row a named tuple, and how many rows it found or changed."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Any], count: int) -> None:
        self._rows = rows
        self.rowcount = count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self._rows

    def scalars(self) -> "Rows":
        """The first column of every row."""
        return Rows([row[0] for row in self._rows], self.rowcount)

    def mappings(self) -> "Rows":
        """Every row as a dict."""
        return Rows([row._asdict() for row in self._rows], self.rowcount)

    def first(self) -> Any:
        """The first row, None where there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row; NoResultFound or MultipleResultsFound where that is not so."""
        if not self._rows:
            raise NoResultFound("there is no row")
        if len(self._rows) > 1:
            raise MultipleResultsFound(f"there are {len(self._rows)} rows")
        return self._rows[0]

    def scalar(self) -> Any:
        """The first column of the first row, None where there is none."""
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """The first column of the only row; errors as above."""
        return self.one()[0]
