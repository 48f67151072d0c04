"""Reads executions: one as a report, many as a list. What has expired is not read, whether or not it is deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from shared import costs, inside, pipelines, states, strict_json
from shared.clock import rfc3339
from shared.errors import Gone, NotFound
from shared.order import DEFAULT_ENVIRONMENT
from shared.plan import Plan, Reference, Usage, Version
from shared.report import LayerReport, Report, Spent
from shared.statements import Statement


def find(connection: Connection, organization_id: int, name: int | UUID) -> Report:
    """Return the report of an execution by its integer id or uuid.

    NotFound, also for another organization's; Gone with the tombstone once its results have expired.
    """
    column = "uuid" if isinstance(name, UUID) else "id"
    row = _FIND[column](connection, {"name": name, "organization": organization_id}).first()
    if row is None:
        raise NotFound("execution")
    version = pipelines.version(connection, row.version_id)
    if row.expired:
        raise Gone(tombstone(row, version))
    results = inside.results(connection, row, version.plan, lambda each: _pinned(connection, row, each))
    # Mostly the results tell it all.
    spent = costs.by_layer(connection, row.id) if row.deeper or row.beside else None
    return _report(row, version, results, spent)


def layers_inside(
    connection: Connection, organization_id: int, name: int | UUID, *, under: str = "", after: str = "", limit: int = 50
) -> list[LayerReport]:
    """What is recorded of the layers inside of others, by path, of those whose path begins with `under`.

    `after` is the path after which the page goes on; NotFound and Gone as for a report.
    """
    column = "uuid" if isinstance(name, UUID) else "id"
    row = _PINS[column](connection, {"name": name, "organization": organization_id}).first()
    if row is None:
        raise NotFound("execution")
    version = pipelines.version(connection, row.version_id)
    if row.expired:
        raise Gone(tombstone(row, version))
    return inside.listed(
        connection,
        row.id,
        version.plan,
        lambda each: _pinned(connection, row, each),
        under=under,
        after=after,
        limit=limit,
    )


def _pinned(connection: Connection, row: Row[Any], reference: Reference) -> Plan | None:
    pinned = (row.pins or {}).get(str(reference))
    return pipelines.version(connection, pinned).plan if pinned else None


def progress(connection: Connection, uuid: UUID) -> tuple[str, int, int] | None:
    """How far an execution is: status, attempt, and how many layers its attempts have recorded; None without one."""
    row = _PROGRESS(connection, {"uuid": uuid}).first()
    return (row.status, row.attempt, row.recorded) if row else None


def ends(connection: Connection, uuids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Of these executions those that ended more than a moment ago: `uuid`, `status`, `reason`, `channel`."""
    return _ENDS(connection, {"uuids": list(uuids)}).all()


def over(connection: Connection, uuids: Sequence[UUID]) -> Sequence[UUID]:
    """Which of these executions have ended, or are not there any more."""
    return list(_OVER(connection, {"uuids": list(uuids)}).scalars())


def tombstone(row: Row[Any], version: Version) -> dict[str, object]:
    """What is still known of an execution whose content has expired."""
    return {
        "id": row.id,
        "uuid": str(row.uuid),
        "status": row.status,
        "reason": row.reason,
        "pipeline": {"handle": version.handle, "version": version.number, "uuid": str(version.pipeline_uuid)},
        "accepted_at": rfc3339(row.accepted_at),
        "started_at": rfc3339(row.started_at),
        "ended_at": rfc3339(row.ended_at),
        "expired_at": rfc3339(row.expires_at),
        "usage": _usage(row.usage).as_json(),
        "cost": None if row.cost is None else float(row.cost),
        "thread": str(row.thread) if row.thread else None,
    }


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; every filter that is given must hold."""

    status: str | None = None
    pipeline: str | None = None
    version: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    end_user: str | None = None
    thread: UUID | None = None
    accepted_after: datetime | None = None
    accepted_before: datetime | None = None


def listed(
    connection: Connection, organization_id: int, filters: Filters, *, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Executions, newest first, without their content; `before` is the id after which the page goes on.

    NotFound where the pipeline or version of the filter does not exist.
    """
    conditions, values = _conditions(connection, organization_id, filters)
    if before is not None:
        conditions.append("e.id < :before")
        values["before"] = before
    query = f"SELECT {ROW} FROM executions e {' '.join(_joins(filters))} WHERE {' AND '.join(conditions)}"
    rows = connection.execute(text(f"{query} ORDER BY e.id DESC LIMIT :limit"), {**values, "limit": limit})
    return [summary(connection, row) for row in rows.all()]


def summary(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """An execution without its content, of a row that has ROW."""
    version = pipelines.version(connection, row.version_id)
    known = tombstone(row, version)
    del known["expired_at"]
    return {
        **known,
        "queue": row.queue,
        "expires_at": rfc3339(row.expires_at),
        "expired": bool(row.expired),
        "channel": row.channel,
        "environment": row.environment or DEFAULT_ENVIRONMENT,
    }


def _conditions(connection: Connection, organization_id: int, filters: Filters) -> tuple[list[str], dict[str, Any]]:
    # Every piece of SQL is a constant of this module; what the caller wrote travels as a parameter.
    values: dict[str, Any] = {"organization": organization_id}
    conditions = ["e.organization_id = :organization"]
    simple = {
        "status": (filters.status, "e.status = :status"),
        # Not by the organization and uuid of the thread beside it: the index of its own executions is the one to use.
        "thread": (
            filters.thread,
            "e.thread_id = (SELECT t.id FROM threads t WHERE t.organization_id = :organization AND t.uuid = :thread)",
        ),
        "end_user": (filters.end_user, f"c.end_user = :end_user AND NOT {EXPIRED}"),
        "after": (filters.accepted_after, "e.accepted_at >= :after"),
        "until": (filters.accepted_before, "e.accepted_at < :until"),
        "tags": (_object(filters.tags), f"c.tags @> CAST(:tags AS jsonb) AND NOT {EXPIRED}"),
        "metadata": (_object(filters.metadata), f"c.metadata @> CAST(:metadata AS jsonb) AND NOT {EXPIRED}"),
    }
    for name, (value, condition) in simple.items():
        if value is not None:
            conditions.append(condition)
            values[name] = value
    if filters.pipeline is not None:
        conditions.append("e.version_id = ANY(:versions)")
        values["versions"] = _version_ids(connection, organization_id, filters.pipeline, filters.version)
    return conditions, values


def _version_ids(connection: Connection, organization_id: int, pipeline: str, version: str | None) -> list[int]:
    if version is not None:
        return [pipelines.resolve(connection, organization_id, pipeline, version).id]
    found = pipelines.resolve_pipeline(connection, organization_id, pipeline)
    return list(connection.execute(text("SELECT id FROM versions WHERE pipeline_id = :id"), {"id": found}).scalars())


def _joins(filters: Filters) -> list[str]:
    content = filters.tags or filters.metadata or filters.end_user is not None
    return ["JOIN contents c ON c.execution_id = e.id"] if content else []


def _object(pairs: tuple[tuple[str, str], ...]) -> str | None:
    return strict_json.dumps(dict(pairs)) if pairs else None


def _report(
    row: Row[Any], version: Version, results: dict[str, LayerReport], layers: dict[str, Spent] | None
) -> Report:
    known = {path: each.spent for path, each in results.items() if each.calls} if layers is None else layers
    # Without a call on the books, it ended before there were any.
    spent = sum(known.values(), Spent()) if known else Spent(usage=_usage(row.usage), cost=row.cost)
    properties = states.properties(version.plan, row.status, results, begun=row.started_at is not None)
    return Report(
        id=row.id,
        uuid=row.uuid,
        status=row.status,
        queue=row.queue,
        handle=version.handle,
        version=version.number,
        pipeline_uuid=version.pipeline_uuid,
        attempt=row.attempt,
        accepted_at=row.accepted_at,
        deadline_at=row.deadline_at,
        not_before=row.not_before,
        started_at=row.started_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
        blocked_by=row.blocked_by,
        cancel_requested_at=row.cancel_requested_at,
        reason=row.reason,
        error=row.error,
        usage=spent.usage,
        inputs=row.inputs,
        tags=row.tags,
        metadata=row.metadata,
        end_user=row.end_user,
        output=row.output,
        properties=costs.told(properties, layers) if layers else properties,
        output_name=version.plan.output,
        origin_id=row.origin_id,
        spent=spent,
        max_cost_usd=row.max_cost_usd,
        max_tokens=row.max_tokens,
        thread=row.thread,
        channel=row.channel,
        environment=row.environment or DEFAULT_ENVIRONMENT,
    )


def _usage(found: dict[str, int] | None) -> Usage:
    return Usage(**found) if found else Usage()


#: True for an execution `e` whose content has expired.
EXPIRED = "coalesce(e.expires_at <= clock_timestamp(), false)"
#: What a summary tells, of an execution `e`.
ROW = f"""e.id, e.uuid, e.version_id, e.status, e.queue, e.attempt, e.accepted_at, e.deadline_at, e.not_before,
           e.started_at, e.ended_at, e.expires_at, e.blocked_by, e.cancel_requested_at, e.reason, e.usage, e.origin_id,
           e.cost, e.max_cost_usd, e.max_tokens, e.environment, e.channel,
           (SELECT t.uuid FROM threads t WHERE t.id = e.thread_id) AS thread,
           {EXPIRED} AS expired"""
# Said so that it is looked at in the one row of that name: planned while the table is small, the index by organization
# looks as good, and all that the organization has would be read.
OF_ORGANIZATION = "e.organization_id IS NOT DISTINCT FROM :organization"
# The layers come with their execution, as JSON: a report is read at every poll, and costs one round trip mostly.
_FIND = {
    column: Statement(f"""
        SELECT {ROW}, c.inputs, c.tags, c.metadata, c.end_user, c.output, c.error,
               c.pins, recorded.layers, recorded.deeper, {costs.BESIDE} AS beside
          FROM executions e LEFT JOIN contents c ON c.execution_id = e.id {inside.JOIN}
         WHERE e.{column} = :name AND {OF_ORGANIZATION}
    """)
    for column in ("id", "uuid")
}
_PINS = {
    column: Statement(f"""
        SELECT {ROW}, c.pins FROM executions e LEFT JOIN contents c ON c.execution_id = e.id
         WHERE e.{column} = :name AND {OF_ORGANIZATION}
    """)
    for column in ("id", "uuid")
}
# One look at the index for each.
_OVER = Statement("""
    SELECT asked.uuid
      FROM unnest(CAST(:uuids AS uuid[])) AS asked (uuid)
      LEFT JOIN LATERAL (SELECT id, ended_at FROM executions WHERE uuid = asked.uuid LIMIT 1) AS e ON true
     WHERE e.id IS NULL OR e.ended_at IS NOT NULL
""")
_ENDS = Statement("""
    SELECT uuid, status, reason, channel FROM executions
     WHERE uuid = ANY (CAST(:uuids AS uuid[])) AND ended_at < clock_timestamp() - interval '2 seconds'
""")

_PROGRESS = Statement("""
    SELECT e.status, e.attempt,
           (SELECT count(*) FROM layer_results WHERE execution_id = e.id AND attempt > 0) AS recorded
      FROM executions e WHERE e.uuid = :uuid
""")
