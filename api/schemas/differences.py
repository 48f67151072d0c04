"""Two versions of a pipeline, compared."""

from marshmallow import fields, validate

from api.schemas.pages import SHORT
from shared.kinds import Strict

_VERSION = "Number, tag, uuid or `latest`."


class Compare(Strict):
    """Query of a comparison."""

    old = fields.String(
        required=True, data_key="from", validate=SHORT, metadata={"description": _VERSION, "example": "1"}
    )
    new = fields.String(load_default="latest", data_key="to", validate=SHORT, metadata={"description": _VERSION})


class Compared(Strict):
    """One of the two versions."""

    version = fields.Integer(required=True)
    version_uuid = fields.UUID(required=True)
    hash = fields.String(required=True)


class Change(Strict):
    """One difference."""

    change = fields.String(
        required=True,
        validate=validate.OneOf(["added", "removed", "changed", "moved"]),
        metadata={"description": "`moved`: a list is in another order; `old` and `new` name what is in both."},
    )
    place = fields.String(
        required=True, metadata={"description": "By names: `properties[reviews].layers[write].prompt`."}
    )
    old_pointer = fields.String(
        required=True, allow_none=True, metadata={"description": "JSON Pointer into the old definition."}
    )
    new_pointer = fields.String(
        required=True, allow_none=True, metadata={"description": "JSON Pointer into the new definition."}
    )
    old = fields.Raw(required=True, allow_none=True)
    new = fields.Raw(required=True, allow_none=True)
    diff = fields.String(required=True, allow_none=True, metadata={"description": "Of a long text: a unified diff."})


class Note(Strict):
    """Something that callers of the old version may notice."""

    place = fields.String(required=True)
    message = fields.String(required=True)
    breaking = fields.Boolean(
        required=True,
        metadata={"description": "True where a request that was accepted is refused, or what was read is not there."},
    )


class Differences(Strict):
    """What differs between two versions."""

    handle = fields.String(required=True)
    uuid = fields.UUID(required=True)
    old = fields.Nested(Compared, required=True, data_key="from")
    new = fields.Nested(Compared, required=True, data_key="to")
    same = fields.Boolean(required=True)
    breaking = fields.Boolean(required=True, metadata={"description": "True where any of `compatibility` is."})
    changes = fields.List(fields.Nested(Change), required=True)
    compatibility = fields.List(fields.Nested(Note), required=True)
