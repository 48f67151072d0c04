"""Pipelines, their versions and tags."""

from marshmallow import fields

from shared.kinds import Strict


class Publish(Strict):
    """Query of a publication."""

    draft = fields.Boolean(load_default=False, metadata={"description": "Publish without making it the latest."})


class MoveTag(Strict):
    """Body that points a tag at a version."""

    version = fields.Raw(
        required=True, metadata={"description": "Number, tag, uuid or `latest`.", "type": ["string", "integer"]}
    )


class Input(Strict):
    """A declared input."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    required = fields.Boolean(required=True)
    default = fields.Raw(required=True, allow_none=True)
    description = fields.String(required=True)


class Version(Strict):
    """A version of a pipeline."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    id = fields.Integer(required=True)
    version = fields.Integer(required=True)
    version_uuid = fields.UUID(required=True)
    hash = fields.String(required=True)
    draft = fields.Boolean(required=True)
    tags = fields.List(fields.String(), required=True)
    inputs = fields.List(fields.Nested(Input), required=True)
    variables = fields.List(
        fields.String(), required=True, metadata={"description": "Names of the `${VARIABLES}` that it refers to."}
    )
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)
    definition = fields.Dict(required=True)
    warnings = fields.List(
        fields.String(), metadata={"description": "With a publication: what was accepted and is likely a slip."}
    )


class VersionSummary(Strict):
    """A version in the list of a pipeline."""

    version = fields.Integer(required=True)
    version_uuid = fields.UUID(required=True)
    hash = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)


class Pipeline(Strict):
    """A pipeline in a list."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    id = fields.Integer(required=True)
    version = fields.Integer(required=True, allow_none=True)
    hash = fields.String(required=True, allow_none=True)
    tags = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    created_at = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True, allow_none=True)


class Pipelines(Strict):
    """A page of pipelines, by handle."""

    pipelines = fields.List(fields.Nested(Pipeline), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class PipelineWithVersions(Version):
    """A pipeline: its latest version, and the list of all."""

    versions = fields.List(fields.Nested(VersionSummary), required=True)
