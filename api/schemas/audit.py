"""Who changed what."""

from marshmallow import fields, validate

from api.schemas.pages import SHORT, Page
from shared.kinds import Strict


class ListAudit(Page):
    """Query of the list of changes."""

    action = fields.String(
        validate=SHORT, metadata={"description": "`variable.set`, or `variable` for all that was done to variables."}
    )
    subject = fields.String(validate=validate.Length(max=400), metadata={"description": "What was changed, exactly."})
    key = fields.Integer(
        validate=validate.Range(min=1, max=(1 << 63) - 1),
        metadata={"description": "Changes asked for by a key, by its id."},
    )
    after = fields.AwareDateTime(format="iso", metadata={"description": "Changes from this time on."})
    before = fields.AwareDateTime(format="iso", metadata={"description": "Changes before this time."})


class AuditNote(Strict):
    """A change."""

    id = fields.Integer(required=True)
    at = fields.DateTime(required=True)
    action = fields.String(required=True, metadata={"description": "A noun and what became of it: `key.revoked`."})
    subject = fields.String(required=True, metadata={"description": "What it was done to, as its route names it."})
    details = fields.Dict(required=True, metadata={"description": "What else there is to tell; never a secret."})
    key_id = fields.Integer(required=True, allow_none=True, metadata={"description": "The key that asked for it."})
    key_prefix = fields.String(required=True, allow_none=True)
    key_name = fields.String(required=True, allow_none=True)


class Audit(Strict):
    """A page of changes, newest first."""

    changes = fields.List(fields.Nested(AuditNote), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
