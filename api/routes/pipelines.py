"""`/v2/pipelines`: publish, read, tag."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from api import cursors, parsing, schemas
from api.endpoint import answer, endpoint
from shared import audit, db, definition, pipelines
from shared.clock import rfc3339
from shared.errors import Fault, Invalid
from shared.keys import Caller
from shared.plan import Version

blueprint = Blueprint("pipelines", __name__, url_prefix="/v2/pipelines")
_DEFINITION = definition.DefinitionSchema()
_EXAMPLE = {
    "inputs": [{"name": "film", "required": True}],
    "properties": [
        {
            "name": "reviews",
            "layers": [{"kind": "prompt", "prompt": "Give three short reviews of {{film}}.", "output": "list"}],
        }
    ],
    "output": "reviews",
}


@blueprint.put("/<handle>")
@endpoint(
    scope="manage",
    body=_DEFINITION,
    body_types=(*parsing.JSON, *parsing.YAML),
    query=schemas.Publish(),
    answers={201: schemas.Version(), 200: schemas.Version()},
    example=_EXAMPLE,
)
def publish(handle: str, caller: Caller, query: Mapping[str, Any]) -> Response:
    """Publish a definition: 201 for a new version, 200 where it was one already."""
    source = parsing.document(types=(*parsing.JSON, *parsing.YAML))
    found = _definition(handle, source)
    with db.transaction() as connection:
        published = pipelines.publish(connection, caller.organization_id, handle, found, draft=query["draft"])
        version = pipelines.version(connection, published.version_id)
        body = _described(pipelines.described(connection, version), version)
        if published.created or published.moved:
            audit.note(connection, caller, "pipeline.published", handle, version=version.number, draft=query["draft"])
    return answer({**body, "warnings": list(found.warnings)}, 201 if published.created else 200)


@blueprint.get("")
@endpoint(scope="read", query=schemas.Page(), answers={200: schemas.Pipelines()})
def list_pipelines(caller: Caller, query: Mapping[str, Any]) -> Response:
    """List the pipelines, by handle."""
    after = cursors.read("pipelines", query["cursor"]) if "cursor" in query else ""
    with db.autocommit() as connection:
        found = pipelines.listed(connection, caller.organization_id, after=after, limit=query["limit"] + 1)
    page = [_timed(each) for each in found[: query["limit"]]]
    more = len(found) > query["limit"]
    return answer({"pipelines": page, "next_cursor": cursors.write("pipelines", page[-1]["handle"]) if more else None})


@blueprint.get("/<handle>")
@endpoint(scope="read", answers={200: schemas.PipelineWithVersions()})
def show_pipeline(handle: str, caller: Caller) -> Response:
    """Show a pipeline's latest version, and list all of them."""
    with db.autocommit() as connection:
        versions = pipelines.numbered(connection, caller.organization_id, handle)
        # A pipeline of drafts alone has no latest version; its newest draft stands for it.
        published = any(each["published_at"] for each in versions)
        spec = "latest" if published else str(versions[0]["version"])
        version = pipelines.resolve(connection, caller.organization_id, handle, spec)
        body = _described(pipelines.described(connection, version), version)
    return answer({**body, "versions": [_timed(each) for each in versions]})


@blueprint.get("/<handle>/versions/<version>")
@endpoint(scope="read", answers={200: schemas.Version()})
def show_version(handle: str, version: str, caller: Caller) -> Response:
    """Show a version: by number, tag, uuid or `latest`."""
    with db.autocommit() as connection:
        found = pipelines.resolve(connection, caller.organization_id, handle, version)
        body = _described(pipelines.described(connection, found), found)
    return answer(body)


@blueprint.put("/<handle>/tags/<tag>")
@endpoint(scope="manage", body=schemas.MoveTag(), answers={200: schemas.Version()}, example={"version": 1})
def move_tag(handle: str, tag: str, caller: Caller) -> Response:
    """Point a tag at a version: promote, or roll back."""
    spec = parsing.body(schemas.MoveTag()).checked()["version"]
    if isinstance(spec, bool) or not isinstance(spec, str | int):
        raise Invalid([Fault("version", "must be a number, tag, uuid or `latest`")])
    with db.transaction() as connection:
        found = pipelines.tag(connection, caller.organization_id, handle, tag, str(spec))
        audit.note(connection, caller, "pipeline.tagged", found.handle, tag=tag, version=found.number)
        body = _described(pipelines.described(connection, found), found)
    return answer(body)


@blueprint.delete("/<handle>/tags/<tag>")
@endpoint(scope="manage", answers={204: "The tag is gone."})
def remove_tag(handle: str, tag: str, caller: Caller) -> Response:
    """Take a tag away."""
    with db.transaction() as connection:
        pipelines.untag(connection, caller.organization_id, handle, tag)
        audit.note(connection, caller, "pipeline.untagged", handle, tag=tag)
    return Response(status=204)


def _definition(handle: str, source: Any) -> definition.Definition:
    faults = parsing.storable(source)
    if isinstance(source, dict) and source.get("handle", handle) != handle:
        faults.append(Fault("handle", f"is not {handle}, the handle in the path"))
    if not definition.is_handle(handle):
        faults.append(Fault("handle", "must match ^[a-z][a-z0-9-]{0,62}$"))
    try:
        found = definition.read(source)
    except Invalid as error:
        raise Invalid(dict.fromkeys([*faults, *error.faults])) from error
    if faults:
        raise Invalid(faults)
    return found


def _described(known: dict[str, Any], version: Version) -> dict[str, Any]:
    inputs = [
        {
            "name": each.name,
            "type": each.type,
            "required": each.required,
            "default": each.default,
            "description": each.description,
        }
        for each in version.plan.inputs
    ]
    return {**_timed(known), "inputs": inputs, "variables": list(version.plan.variables)}


def _timed(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rfc3339(value) if name.endswith("_at") else value for name, value in known.items()}
