"""A connection for each thread, with statements that are prepared."""

import os
import threading
from typing import Any

import psycopg2

_local = threading.local()


def run(name: str, sql: str, *values: Any) -> tuple[Any, ...] | None:
    """Run a statement by its name; the row that it gives, if it gives one."""
    if not hasattr(_local, "cursor"):
        _local.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        _local.connection.autocommit = True
        _local.cursor, _local.prepared = _local.connection.cursor(), set()
    if name not in _local.prepared:
        _local.cursor.execute(f"PREPARE {name} AS {sql}")
        _local.prepared.add(name)
    parameters = f" ({', '.join(['%s'] * len(values))})" if values else ""
    _local.cursor.execute(f"EXECUTE {name}{parameters}", values or None)
    return _local.cursor.fetchone() if _local.cursor.description else None
