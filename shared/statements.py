"""Statements that Postgres parses and plans once a connection, instead of every time.

Planning took longer than running for most of the protocol's. Connections are ours alone, so what is prepared on one
stays there; a pooler that hands them around between transactions has to be one of sessions.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, CursorResult

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

    def __call__(self, connection: Connection, values: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Run it; KeyError for a parameter without a value."""
        prepared = connection.info.setdefault("prepared", set())
        if self._name not in prepared:
            connection.exec_driver_sql(self._prepare)
            prepared.add(self._name)
        given = tuple((values or {})[name] for name in self._names)
        return connection.exec_driver_sql(self._execute, given or None)
