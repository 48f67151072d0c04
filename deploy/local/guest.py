"""Whether the demo may use a database that it was pointed at: an empty one, or one that only demos have used."""

import contextlib

import psycopg2

from deploy.local.errors import LocalError


def check(url: str, handles: frozenset[str]) -> None:
    """LocalError where the database holds pipelines of other names than these, or work that has not ended.

    The demo brings its own worker, which may answer with made-up text, and its own bootstrap key, which replaces
    another: neither must ever meet a database that somebody relies on.
    """
    try:
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('pipelines'), to_regclass('executions')")
            if None in (cursor.fetchone() or (None,)):
                return
            cursor.execute("SELECT count(*) FROM pipelines WHERE NOT handle = ANY(%s)", (sorted(handles),))
            pipelines = cursor.fetchone()
            cursor.execute("SELECT count(*) FROM executions WHERE ended_at IS NULL")
            executions = cursor.fetchone()
    except psycopg2.OperationalError as error:
        raise LocalError("the database of DATABASE_URL cannot be reached") from error
    if pipelines != (0,) or executions != (0,):
        raise LocalError(
            "the database of DATABASE_URL holds work that is not the demo's: point it at an empty one, or unset it"
        )
