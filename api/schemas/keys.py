"""API keys, as admins manage them."""

from marshmallow import fields, validate

from api.schemas.orders import within_reach
from api.schemas.pages import SHORT
from shared.keys import SCOPES
from shared.kinds import Strict, Whole

_LIMIT = validate.Range(min=0, max=(1 << 31) - 1)


class MakeKey(Strict):
    """Body that makes a key."""

    name = fields.String(load_default="", validate=SHORT, metadata={"description": "What it is for."})
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)),
        load_default=lambda: ["execute", "read"],
        validate=validate.Length(min=1, max=len(SCOPES)),
        metadata={"description": "What it may do; `execute` and `read` by default. `admin` may do everything."},
    )
    expires_at = fields.AwareDateTime(
        format="iso",
        allow_none=True,
        load_default=None,
        validate=within_reach,
        metadata={"description": "RFC 3339 time with an offset; refused from then on. Never by default."},
    )
    max_queued = Whole(
        allow_none=True,
        load_default=None,
        validate=_LIMIT,
        metadata={"description": "Executions started by it that wait or are queued; no limit of its own by default."},
    )
    per_minute = Whole(
        allow_none=True,
        load_default=None,
        validate=_LIMIT,
        metadata={"description": "Executions that it starts in a minute; no limit of its own by default."},
    )


class RotateKey(Strict):
    """Body of a rotation; nothing has to be in it."""

    overlap_seconds = Whole(
        load_default=0,
        validate=validate.Range(min=0, max=604_800),
        metadata={"description": "How long the key stays good beside the new one; none by default."},
    )


class Key(Strict):
    """A key, without what could be used."""

    id = fields.Integer(required=True)
    prefix = fields.String(required=True, metadata={"description": "Its first characters, to recognise it by."})
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    created_at = fields.DateTime(required=True)
    expires_at = fields.DateTime(required=True, allow_none=True)
    revoked_at = fields.DateTime(required=True, allow_none=True)
    last_used_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "To the minute; null where it never was."}
    )
    max_queued = fields.Integer(required=True, allow_none=True)
    per_minute = fields.Integer(required=True, allow_none=True)


class NewKey(Key):
    """A key that was just made."""

    key = fields.String(required=True, metadata={"description": "The key itself; it is never shown again."})


class Keys(Strict):
    """A page of keys, newest first."""

    keys = fields.List(fields.Nested(Key), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
