"""The servers that models are asked of, and an organization's own keys of them."""

from marshmallow import fields

from shared.kinds import Strict


class SetKey(Strict):
    """Body that sets an organization's own key of a provider; no answer ever shows it."""

    key = fields.String(
        required=True,
        load_only=True,
        metadata={"description": "As the provider gave it: 8 to 500 visible ASCII characters.", "writeOnly": True},
    )


class OwnKey(Strict):
    """What is told of an organization's own key."""

    hint = fields.String(
        required=True, metadata={"description": "Its last four characters; nothing of one that is short."}
    )
    set_at = fields.DateTime(required=True)


class Limits(Strict):
    """What the provider takes from one key; null where nobody has said."""

    requests_per_minute = fields.Integer(required=True, allow_none=True)
    tokens_per_minute = fields.Integer(required=True, allow_none=True)
    in_flight = fields.Integer(required=True, allow_none=True)


class Price(Strict):
    """US dollars for a million tokens."""

    prompt = fields.Float(required=True)
    completion = fields.Float(required=True)


class Provider(Strict):
    """A server that models are asked of."""

    name = fields.String(required=True, metadata={"description": "What a definition writes before the `/`."})
    models = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "The models that may be asked; null where any may be tried."},
    )
    has_key = fields.Boolean(
        required=True, metadata={"description": "Whether this server has a key of its own for it."}
    )
    own_key = fields.Nested(OwnKey, required=True, allow_none=True)
    limits = fields.Nested(Limits, required=True)
    model_limits = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(Limits),
        required=True,
        metadata={"description": "By model, where it has limits of its own."},
    )
    prices = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(Price),
        required=True,
        metadata={"description": "By model; `*` stands for any other."},
    )
    default_max_tokens = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The longest answer in tokens where a layer does not say."},
    )


class Providers(Strict):
    """Every provider of this server."""

    default_model = fields.String(required=True, metadata={"description": "Of layers that name none."})
    providers = fields.List(fields.Nested(Provider), required=True)
