"""Webhooks, and what was delivered to them."""

from marshmallow import fields, validate

from api.schemas.pages import Page
from shared.deliveries import STATUSES
from shared.kinds import CHANNEL, Strict
from shared.notices import dialects
from shared.urls import MOST_CHARACTERS
from shared.webhooks import DEFAULT_ENVIRONMENT, EVENTS

_ENVIRONMENT = validate.Regexp(CHANNEL, error="must be 1 to 64 letters, digits, `.`, `_` or `-`")
_URL = {"description": "Of a public address; no redirect is followed.", "format": "uri"}
_ENVIRONMENTS = {"description": "Whose executions it is told of; documents belong to every environment."}
_TELLS_EVENT = {"description": "Whether the body of a vendor's dialect names the event, which strict clients refuse."}
#: A week, in seconds.
_MOST_OVERLAP = 7 * 24 * 3600


def _events(*, required: bool) -> fields.List[str]:
    return fields.List(
        fields.String(validate=validate.OneOf(EVENTS)),
        required=required,
        validate=validate.Length(min=1, max=len(EVENTS)),
        metadata={"description": "What it is told of.", "uniqueItems": True},
    )


class MakeWebhook(Strict):
    """Body that makes a webhook."""

    url = fields.String(required=True, validate=validate.Length(min=1, max=MOST_CHARACTERS), metadata=_URL)
    events = _events(required=True)
    dialect = fields.String(
        load_default="standard",
        validate=validate.OneOf(sorted(dialects())),
        metadata={"description": "How it is told: as Standard Webhooks say, or in a vendor's words."},
    )
    environment = fields.String(load_default=DEFAULT_ENVIRONMENT, validate=_ENVIRONMENT, metadata=_ENVIRONMENTS)
    tells_event = fields.Boolean(load_default=False, truthy={True}, falsy={False}, metadata=_TELLS_EVENT)
    description = fields.String(load_default="", validate=validate.Length(max=500))


class ChangeWebhook(Strict):
    """Body that changes a webhook; what it does not name stays."""

    url = fields.String(validate=validate.Length(min=1, max=MOST_CHARACTERS), metadata=_URL)
    events = _events(required=False)
    environment = fields.String(validate=_ENVIRONMENT, metadata=_ENVIRONMENTS)
    tells_event = fields.Boolean(truthy={True}, falsy={False}, metadata=_TELLS_EVENT)
    description = fields.String(validate=validate.Length(max=500))
    enabled = fields.Boolean(
        truthy={True}, falsy={False}, metadata={"description": "False: it is owed nothing, and nothing is sent."}
    )


class RotateSecret(Strict):
    """Body that gives a webhook a new secret."""

    overlap_seconds = fields.Integer(
        load_default=24 * 3600,
        strict=True,
        validate=validate.Range(min=0, max=_MOST_OVERLAP),
        metadata={"description": "For how long the former secret signs beside the new one."},
    )


class Webhook(Strict):
    """A webhook; its secret is never shown again."""

    uuid = fields.UUID(required=True)
    url = fields.String(required=True)
    events = fields.List(fields.String(validate=validate.OneOf(EVENTS)), required=True)
    dialect = fields.String(required=True)
    environment = fields.String(required=True)
    tells_event = fields.Boolean(required=True)
    description = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    disabled_at = fields.DateTime(required=True, allow_none=True)
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["asked", "gone", "failing"]),
        metadata={
            "description": "`asked`: somebody has turned it off; `gone`: it has answered 410; `failing`: nothing but"
            " failures for five days."
        },
    )
    failing_since = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Since when nothing has arrived."}
    )
    former_secret_until = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Until when the former secret signs too."}
    )
    created_at = fields.DateTime(required=True)
    changed_at = fields.DateTime(required=True)


class NewWebhook(Webhook):
    """A webhook with its new secret."""

    secret = fields.String(required=True, metadata={"description": "To verify signatures with; told only here."})


class Webhooks(Strict):
    """Every webhook, oldest first."""

    webhooks = fields.List(fields.Nested(Webhook), required=True)


class ListDeliveries(Page):
    """Query of what is owed to a webhook."""

    status = fields.String(validate=validate.OneOf(STATUSES))


class Delivery(Strict):
    """What is owed to a webhook, or has been delivered."""

    uuid = fields.UUID(required=True, metadata={"description": "The `webhook-id` of every attempt."})
    event = fields.String(required=True)
    subject = fields.UUID(required=True, metadata={"description": "The uuid of what it is about."})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    attempts = fields.Integer(required=True)
    next_attempt_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    ended_at = fields.DateTime(required=True, allow_none=True)


class Deliveries(Strict):
    """A page of deliveries, newest first."""

    deliveries = fields.List(fields.Nested(Delivery), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Attempt(Strict):
    """One try to deliver."""

    number = fields.Integer(required=True)
    started_at = fields.DateTime(required=True)
    seconds = fields.Float(required=True)
    status = fields.Integer(
        required=True, allow_none=True, metadata={"description": "What was answered; null where nothing was."}
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it failed: the beginning of the answer, or ours."}
    )


class DeliveryWithAttempts(Delivery):
    """A delivery with every attempt, in their order."""

    log = fields.List(fields.Nested(Attempt), required=True)
