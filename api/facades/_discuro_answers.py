"""The shapes of Discuro's answers, and the one query; they document the wire, the facade itself writes them."""

from marshmallow import fields, validate

from api.schemas import Usage
from shared.kinds import Strict


class ExecutionId(Strict):
    """Query of the retrieval."""

    id = fields.Integer(required=True, metadata={"description": "As the start answered it.", "example": 98})


class Started(Strict):
    """Answer of both starts."""

    id = fields.Integer(required=True)


class Name(Strict):
    """What a property or layer is called."""

    name = fields.String(required=True)


class LayerResult(Strict):
    """What came of one layer."""

    start = fields.DateTime(required=True)
    end = fields.DateTime(required=True)
    passed = fields.Boolean(required=True)
    error = fields.String(required=True, allow_none=True)
    layer = fields.Nested(Name, required=True)


class PropertyResult(Strict):
    """What came of one property."""

    start = fields.DateTime(required=True)
    end = fields.DateTime(required=True)
    passed = fields.Boolean(required=True)
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "The provider's body verbatim, where it answered."}
    )
    property = fields.Nested(Name, required=True)
    layer_results = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(LayerResult),
        required=True,
        allow_none=True,
        metadata={"description": "By the layer's id; null where the property has one layer only."},
    )


class Transformation(Strict):
    """What an execution produced."""

    data = fields.Raw(required=True, metadata={"description": "The output document; `{}` after a failure."})
    start = fields.DateTime(required=True)
    end = fields.DateTime(required=True)
    usage = fields.Nested(Usage, required=True)
    results = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(PropertyResult),
        metadata={"description": "After a failure only: every property that started, by its id."},
    )


class Retrieved(Strict):
    """How far an execution is; `passed` and `transformation` come with its end."""

    id = fields.Integer(required=True)
    status = fields.String(required=True, validate=validate.OneOf(["started", "ended"]))
    passed = fields.Boolean()
    transformation = fields.Nested(Transformation)


class Failed(Strict):
    """Discuro's envelope of every failure."""

    error = fields.String(required=True)
    meta_data = fields.Raw(required=True, allow_none=True)
