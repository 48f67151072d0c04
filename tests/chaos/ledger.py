"""A second set of books inside Postgres: tables that only grow, which triggers write at every change.

Each line is signed with the process that wrote it, and says whether the one that owned the execution had never begun.
It takes a lock of the execution's row to change an execution or its layers, so that the lines of one execution are in
the order of their commits.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2

_TABLES = """
CREATE TABLE ledger (
    line bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    writer text NOT NULL DEFAULT current_setting('TimeZone'), transaction bigint NOT NULL DEFAULT txid_current(),
    uuid uuid NOT NULL, execution bigint, what text NOT NULL, path text, before text, after text,
    attempt integer, deaths integer, reason text, passed boolean, unbegun boolean
);
CREATE INDEX ON ledger (uuid, line);

CREATE FUNCTION keep_ledger_of_executions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR (OLD.status, OLD.attempt, OLD.deaths) IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.deaths)
    THEN
        INSERT INTO ledger (uuid, execution, what, before, after, attempt, deaths, reason, unbegun)
        VALUES (NEW.uuid, NEW.id, 'status', CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status,
                NEW.attempt, NEW.deaths, NEW.reason,
                TG_OP = 'UPDATE' AND EXISTS (SELECT FROM workers WHERE id = OLD.worker AND pid = 0));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_ledger AFTER INSERT OR UPDATE ON executions
    FOR EACH ROW EXECUTE FUNCTION keep_ledger_of_executions();

CREATE FUNCTION keep_ledger_of_layers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger (uuid, what, path, attempt, passed)
    SELECT uuid, 'layer', NEW.path, NEW.attempt, NEW.passed FROM executions WHERE id = NEW.execution_id;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_ledger AFTER INSERT OR UPDATE ON layer_results
    FOR EACH ROW EXECUTE FUNCTION keep_ledger_of_layers();

CREATE FUNCTION keep_ledger_of_contents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger (uuid, what) SELECT uuid, 'outcome' FROM executions WHERE id = NEW.execution_id;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_ledger AFTER UPDATE ON contents
    FOR EACH ROW EXECUTE FUNCTION keep_ledger_of_contents();

CREATE TABLE duty_ledger (
    line bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    writer text NOT NULL DEFAULT current_setting('TimeZone'), duty text NOT NULL, slot bigint NOT NULL
);
CREATE FUNCTION keep_ledger_of_duties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO duty_ledger (duty, slot) VALUES (NEW.duty, NEW.slot);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_ledger AFTER INSERT OR UPDATE ON duties
    FOR EACH ROW EXECUTE FUNCTION keep_ledger_of_duties();
"""


def install(url: str) -> None:
    """Add the ledger to a migrated database."""
    with connected(url) as cursor:
        cursor.execute(_TABLES)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A cursor of a connection of its own, each statement its own transaction."""
    with contextlib.closing(psycopg2.connect(url, connect_timeout=5)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def rows(url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Every row of a query; nothing for a statement without rows."""
    with connected(url) as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []
