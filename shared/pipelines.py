"""Pipelines: publish, tag, find. A version never changes, so what was read of one is kept for the process's life."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shared import definition, nesting, strict_json
from shared.definition import Definition
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.models.pipelines import node_ids, pipelines, tags, versions
from shared.plan import Plan, Version
from shared.statements import Statement

LATEST = ("latest", "__latest__")
TAG = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_NO_TAGS = (*LATEST, "executions")
_KEPT = 2_000
_known: dict[int, Version] = {}
#: What was found under a name, and under which version of the organization's catalog.
_found: dict[tuple[int, str, str], tuple[int, Any]] = {}


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing came to: `created` is False where that definition was a version already."""

    version_id: int
    created: bool
    warnings: tuple[str, ...]
    #: It is the latest from now on, and was not before.
    moved: bool = False


def publish(
    connection: Connection, organization_id: int, handle: str, found: Definition, *, draft: bool = False
) -> Published:
    """Publish a definition under a handle; the same definition gives the same version, and makes it the latest again.

    A draft can be executed by its number, and is never the latest. Invalid where a pipeline that it runs is not there,
    is not given what it needs, or runs this one.
    """
    if found.plan.pipelines:
        wrong = nesting.faults(handle, found, lambda each: resolve(connection, organization_id, *each))
        if wrong:
            raise Invalid(wrong)
    pipeline_id = _pipeline(connection, organization_id, handle)
    same = connection.execute(
        select(versions.c.id).where(versions.c.pipeline_id == pipeline_id, versions.c.hash == found.hash)
    ).scalar_one_or_none()
    version_id = same or _insert(connection, pipeline_id, found)
    moved = not draft and _make_latest(connection, pipeline_id, version_id)
    return Published(version_id, same is None, found.warnings, moved)


def known(version_id: int) -> Version | None:
    """A version that this process has read before."""
    return _known.get(version_id)


def version(connection: Connection, version_id: int) -> Version:
    """Return a version by its id, mostly without a query."""
    known = _known.get(version_id)
    if known is None:
        if len(_known) >= _KEPT:
            _known.clear()
        known = _known[version_id] = _read(connection, version_id)
    return known


def resolve(
    connection: Connection,
    organization_id: int,
    pipeline: str,
    spec: str = "latest",
    *,
    drafts: bool = True,
    catalog_version: int | None = None,
) -> Version:
    """Return the version that an order means.

    `pipeline` is a handle, uuid or integer id; `spec` a number, tag, uuid or `latest`. NotFound says which of the two;
    without `drafts`, what was never published is no version either. With a `catalog_version` that was read before, what
    this process has found under it is taken as it was then.
    """
    row = _looked_up(connection, organization_id, pipeline, spec, catalog_version)
    if row is None:
        raise NotFound("pipeline")
    if row.version_id is None or not (drafts or row.published):
        raise NotFound("version")
    return version(connection, row.version_id)


def _looked_up(
    connection: Connection, organization_id: int, pipeline: str, spec: str, catalog_version: int | None
) -> Any:
    under, row = _found.get((organization_id, pipeline, spec), (None, None))
    if catalog_version is not None and under == catalog_version:
        return row
    by, name = _kind_of_name(pipeline)
    which, wanted = _kind_of_spec(spec)
    row = _RESOLVE[by, which](connection, {"organization": organization_id, "name": name, "wanted": wanted}).first()
    if catalog_version is not None and row is not None:
        if len(_found) >= _KEPT:
            _found.clear()
        _found[organization_id, pipeline, spec] = catalog_version, row
    return row


def pins(connection: Connection, organization_id: int, found: Version) -> dict[str, int]:
    """The id of each version that runs inside of a version as of now, by `handle@version`; Invalid where one cannot."""
    if not found.plan.pipelines:
        return {}
    pinned, wrong = nesting.pins(found, lambda each: resolve(connection, organization_id, *each))
    if wrong:
        raise Invalid(wrong)
    return pinned


def plans(connection: Connection, found: Version, pinned: Mapping[str, int]) -> list[Plan]:
    """The plan of a version, and those of all that runs inside of it."""
    return [found.plan, *(version(connection, each).plan for each in pinned.values())]


def described(connection: Connection, found: Version) -> dict[str, Any]:
    """Everything about a version: names, hash, definition, tags, times."""
    row = connection.execute(select(versions).where(versions.c.id == found.id)).one()
    tagged = connection.execute(select(tags.c.name).where(tags.c.version_id == found.id).order_by(tags.c.name))
    return {
        "handle": found.handle,
        "uuid": found.pipeline_uuid,
        "id": found.pipeline_id,
        "version": found.number,
        "version_uuid": found.uuid,
        "hash": row.hash,
        "draft": row.published_at is None,
        "tags": list(tagged.scalars()),
        "created_at": row.created_at,
        "published_at": row.published_at,
        "definition": row.definition,
    }


def listed(connection: Connection, organization_id: int, *, after: str = "", limit: int = 50) -> list[dict[str, Any]]:
    """Pipelines by handle, each with its latest version's number, published_at and tags; `after` is a handle."""
    rows = _LIST(connection, {"organization": organization_id, "after": after, "limit": limit})
    return [dict(row) for row in rows.mappings()]


def numbered(connection: Connection, organization_id: int, pipeline: str) -> list[dict[str, Any]]:
    """The versions of a pipeline, newest first, at most 1,000; NotFound."""
    found = resolve_pipeline(connection, organization_id, pipeline)
    rows = connection.execute(
        select(
            versions.c.number.label("version"),
            versions.c.uuid.label("version_uuid"),
            versions.c.hash,
            versions.c.created_at,
            versions.c.published_at,
        )
        .where(versions.c.pipeline_id == found)
        .order_by(versions.c.number.desc())
        .limit(1000)
    )
    return [dict(row) for row in rows.mappings()]


def resolve_pipeline(connection: Connection, organization_id: int, pipeline: str) -> int:
    """Return a pipeline's integer id; NotFound."""
    by, name = _kind_of_name(pipeline)
    values = {"organization": organization_id, "name": name, "wanted": None}
    row = _RESOLVE[by, "latest"](connection, values).first()
    if row is None:
        raise NotFound("pipeline")
    return int(row.pipeline_id)


def tag(connection: Connection, organization_id: int, pipeline: str, name: str, spec: str) -> Version:
    """Point a tag at a version, wherever it pointed before; Invalid for a name that cannot be a tag."""
    if not TAG.fullmatch(name) or name in _NO_TAGS or _as_uuid(name):
        raise Invalid([Fault("tag", f"{name} cannot be a tag")])
    found = resolve(connection, organization_id, pipeline, spec)
    connection.execute(
        upsert(tags)
        .values(pipeline_id=found.pipeline_id, name=name, version_id=found.id)
        .on_conflict_do_update(
            index_elements=[tags.c.pipeline_id, tags.c.name],
            set_={"version_id": found.id, "moved_at": func.now()},
        )
    )
    return found


def untag(connection: Connection, organization_id: int, pipeline: str, name: str) -> None:
    """Take a tag away; NotFound where it is not there."""
    found = resolve_pipeline(connection, organization_id, pipeline)
    if not connection.execute(delete(tags).where(tags.c.pipeline_id == found, tags.c.name == name)).rowcount:
        raise NotFound("tag")


_WHICH = {
    "latest": "v.published_at IS NOT NULL AND CAST(:wanted AS text) IS NULL",
    "uuid": "v.uuid = :wanted",
    "number": "v.number = :wanted",
    "tag": "v.id = (SELECT t.version_id FROM tags t WHERE t.pipeline_id = p.id AND t.name = :wanted)",
}
# One statement for each way to name a pipeline and a version: every accepted execution asks one.
_RESOLVE = {
    (by, which): Statement(f"""
        SELECT p.id AS pipeline_id, found.id AS version_id, found.published
          FROM pipelines p
          LEFT JOIN LATERAL (SELECT v.id, v.published_at IS NOT NULL AS published
                               FROM versions v WHERE v.pipeline_id = p.id AND {condition}
                              ORDER BY v.published_at DESC NULLS LAST LIMIT 1) found ON true
         WHERE p.organization_id = :organization AND p.archived_at IS NULL AND p.{by} = :name
    """)
    for by in ("uuid", "id", "handle")
    for which, condition in _WHICH.items()
}

_LIST = Statement("""
    SELECT p.handle, p.uuid, p.id, p.created_at, v.number AS version, v.hash, v.published_at,
           coalesce((SELECT jsonb_object_agg(t.name, tv.number) FROM tags t JOIN versions tv ON tv.id = t.version_id
                      WHERE t.pipeline_id = p.id), '{}') AS tags
      FROM pipelines p
      LEFT JOIN LATERAL (SELECT number, hash, published_at FROM versions
                          WHERE pipeline_id = p.id AND published_at IS NOT NULL
                          ORDER BY published_at DESC LIMIT 1) v ON true
     WHERE p.organization_id = :organization AND p.archived_at IS NULL AND p.handle > :after
     ORDER BY p.handle LIMIT :limit
""")


def _pipeline(connection: Connection, organization_id: int, handle: str) -> int:
    # The update of nothing locks the row, so that two publishers of one handle come one after the other.
    statement = (
        upsert(pipelines)
        .values(organization_id=organization_id, handle=handle)
        .on_conflict_do_update(
            index_elements=[pipelines.c.organization_id, pipelines.c.handle], set_={"handle": handle}
        )
        .returning(pipelines.c.id, pipelines.c.archived_at)
    )
    row = connection.execute(statement).one()
    if row.archived_at is not None:
        raise Conflict(f"pipeline {handle} is archived")
    found: int = row.id
    return found


def _insert(connection: Connection, pipeline_id: int, found: Definition) -> int:
    paths = definition.paths(found.plan)
    ids = connection.execute(select(node_ids.next_value()).select_from(func.generate_series(1, len(paths)))).scalars()
    number = select(func.coalesce(func.max(versions.c.number), 0) + 1).where(versions.c.pipeline_id == pipeline_id)
    return connection.execute(
        insert(versions)
        .values(
            pipeline_id=pipeline_id,
            number=number.scalar_subquery(),
            hash=found.hash,
            definition=dict(found.source),
            node_ids=dict(zip(paths, ids, strict=True)),
        )
        .returning(versions.c.id)
    ).scalar_one()


def _make_latest(connection: Connection, pipeline_id: int, version_id: int) -> bool:
    latest = select(versions.c.id).where(versions.c.pipeline_id == pipeline_id, versions.c.published_at.isnot(None))
    newest = connection.execute(latest.order_by(versions.c.published_at.desc()).limit(1)).scalar_one_or_none()
    if newest != version_id:
        connection.execute(
            update(versions).where(versions.c.id == version_id).values(published_at=func.clock_timestamp())
        )
    return bool(newest != version_id)


def _read(connection: Connection, version_id: int) -> Version:
    row: Row[Any] = connection.execute(
        select(versions, pipelines.c.handle, pipelines.c.uuid.label("pipeline_uuid"))
        .join(pipelines, pipelines.c.id == versions.c.pipeline_id)
        .where(versions.c.id == version_id)
    ).one()
    source: Mapping[str, Any] = row.definition
    return Version(
        id=row.id,
        number=row.number,
        uuid=row.uuid,
        handle=row.handle,
        pipeline_uuid=row.pipeline_uuid,
        pipeline_id=row.pipeline_id,
        plan=definition.read(source, ids=row.node_ids).plan,
    )


def _kind_of_name(pipeline: str) -> tuple[str, Any]:
    uuid, number = _as_uuid(pipeline), _as_number(pipeline)
    if uuid is not None:
        return "uuid", uuid
    # Cleaned of what Postgres would refuse to read, it names nothing either.
    return ("id", number) if number is not None else ("handle", strict_json.clean(pipeline))


def _kind_of_spec(spec: str) -> tuple[str, Any]:
    uuid, number = _as_uuid(spec), _as_number(spec)
    if spec in LATEST:
        return "latest", None
    if uuid is not None:
        return "uuid", uuid
    return ("number", number) if number is not None else ("tag", strict_json.clean(spec))


def _as_uuid(name: str) -> UUID | None:
    try:
        return UUID(name) if len(name) == 36 else None
    except ValueError:
        return None


def _as_number(name: str) -> int | None:
    # Nine digits fit every integer column; more names nothing.
    return int(name) if re.fullmatch(r"[0-9]{1,9}", name) else None
