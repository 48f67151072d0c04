"""Finds executions of all organizations, for operators; never their content."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from shared.errors import NotFound
from shared.executions import ENDED


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; every filter that is given must hold."""

    organization: str | None = None
    statuses: tuple[str, ...] = ()
    #: A handle, of whatever organization, or a uuid or integer id.
    pipeline: str | None = None
    queue: str | None = None
    #: Since it was accepted.
    older_than_seconds: float | None = None
    #: A worker's id, or the host of any.
    worker: str | None = None

    @property
    def empty(self) -> bool:
        """True where it finds everything."""
        return self == Search()


def newest(connection: Connection, search: Search, *, limit: int) -> list[dict[str, Any]]:
    """The newest executions that a search finds, each with its organization, pipeline, age and worker's host."""
    where, values = _where(search)
    rows = connection.execute(text(f"{_ROWS} {where} ORDER BY e.id DESC LIMIT :limit"), {**values, "limit": limit})
    return [dict(row) for row in rows.mappings()]


def count(connection: Connection, search: Search) -> tuple[int, int]:
    """How many executions a search finds, and the highest of their ids, 0 where there is none."""
    where, values = _where(search)
    row = connection.execute(text(f"SELECT count(*), coalesce(max(e.id), 0) {_FROM} {where}"), values).one()
    return row[0], row[1]


def batch(connection: Connection, search: Search, *, after: int, until: int, limit: int) -> list[Row[Any]]:
    """The next of what a search finds, by id, between two ids: `id`, `uuid`, `organization_id`."""
    where, values = _where(search)
    query = f"SELECT e.id, e.uuid, e.organization_id {_FROM} {where} AND e.id > :after AND e.id <= :until"
    bounds = {"after": after, "until": until, "limit": limit}
    return list(connection.execute(text(f"{query} ORDER BY e.id LIMIT :limit"), {**values, **bounds}).all())


def find(connection: Connection, name: int | UUID) -> Row[Any]:
    """An execution of any organization: `id`, `uuid`, `organization_id`, `status`, `cancel_requested_at`; NotFound."""
    column = "uuid" if isinstance(name, UUID) else "id"
    query = f"SELECT id, uuid, organization_id, status, cancel_requested_at FROM executions WHERE {column} = :name"
    row = connection.execute(text(query), {"name": name}).first()
    if row is None:
        raise NotFound(f"execution {name}")
    return row


def _where(search: Search) -> tuple[str, dict[str, Any]]:
    # Every piece of SQL is a constant of this module; what the operator wrote travels as a parameter.
    conditions, values = ["true"], dict[str, Any]()
    simple: dict[str, tuple[Any, str]] = {
        "organization": (search.organization, "o.name = :organization"),
        "statuses": (list(search.statuses) or None, "e.status = ANY (:statuses)"),
        "queue": (search.queue, "e.queue = :queue"),
        "older": (search.older_than_seconds, "e.accepted_at <= clock_timestamp() - make_interval(secs => :older)"),
        "worker": (search.worker, "(w.host = :worker OR CAST(w.id AS text) = :worker)"),
        "pipeline": (
            search.pipeline,
            "(p.handle = :pipeline OR CAST(p.uuid AS text) = :pipeline OR CAST(p.id AS text) = :pipeline)",
        ),
    }
    for name, (value, condition) in simple.items():
        if value is not None:
            conditions.append(condition)
            values[name] = value
    if search.statuses and not set(search.statuses) & set(ENDED):
        # Implied, and said for the index of what has not ended.
        conditions.append("e.ended_at IS NULL")
    return f"WHERE {' AND '.join(conditions)}", values


_FROM = """
      FROM executions e
      JOIN organizations o ON o.id = e.organization_id
      JOIN versions v ON v.id = e.version_id
      JOIN pipelines p ON p.id = v.pipeline_id
      LEFT JOIN workers w ON w.id = e.worker"""
_ROWS = f"""
    SELECT e.id, e.uuid, o.name AS organization, p.handle, v.number AS version, e.status, e.blocked_by, e.reason,
           e.queue, e.attempt, e.deaths, e.accepted_at, e.started_at, e.ended_at,
           CAST(extract(epoch FROM clock_timestamp() - e.accepted_at) AS float) AS age_seconds, w.host AS worker_host
    {_FROM}"""
