"""What lets a browser follow a thread."""

from marshmallow import fields

from shared.kinds import Strict


class StreamToken(Strict):
    """A token for the stream of one thread."""

    token = fields.String(required=True, metadata={"description": "To be sent as `Authorization: Bearer <token>`."})
    expires_at = fields.String(required=True, metadata={"format": "date-time"})
    url = fields.String(required=True, metadata={"description": "Where the stream is."})


class StreamRefused(Strict):
    """Why a stream is not opened: without a good token, or where too many are open."""

    error = fields.String(required=True)
