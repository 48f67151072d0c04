"""Threads, and what was said on them."""

from marshmallow import fields, validate

from api.schemas.pages import Page
from shared.kinds import CHANNEL, Strict, Whole

_CHANNEL = validate.Regexp(CHANNEL, error="must be 1 to 64 letters, digits, `.`, `_` or `-`")


class ThreadSummary(Strict):
    """A thread in a list."""

    uuid = fields.UUID(required=True)
    created_at = fields.DateTime(required=True)
    used_at = fields.DateTime(
        required=True, metadata={"description": "When an execution was last accepted on it, or has added to it."}
    )


class Threads(Strict):
    """A page of threads, newest first."""

    threads = fields.List(fields.Nested(ThreadSummary), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class Channel(Strict):
    """A lane of a thread."""

    name = fields.String(required=True)
    messages = fields.Integer(required=True)
    tokens = fields.Integer(required=True, metadata={"description": "About how many they have."})
    first_at = fields.DateTime(required=True)
    last_at = fields.DateTime(required=True)


class Thread(ThreadSummary):
    """A thread."""

    channels = fields.List(
        fields.Nested(Channel), required=True, metadata={"description": "Those on which something was said."}
    )
    open_executions = fields.Integer(required=True, metadata={"description": "How many on it have not ended."})


class ListMessages(Page):
    """Query of what was said on a thread."""

    channel = fields.String(validate=_CHANNEL, metadata={"description": "Only of one channel."})


class ThreadMessage(Strict):
    """One message of a thread."""

    id = fields.Integer(required=True)
    channel = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(["user", "assistant"]))
    content = fields.String(required=True)
    tokens = fields.Integer(required=True, metadata={"description": "About how many it has."})
    execution = fields.UUID(
        required=True, allow_none=True, metadata={"description": "Which said it; null where it was copied by a fork."}
    )
    path = fields.String(required=True, allow_none=True, metadata={"description": "The layer that said it."})
    created_at = fields.DateTime(required=True)


class Messages(Strict):
    """A page of what was said, oldest first."""

    messages = fields.List(fields.Nested(ThreadMessage), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ForkThread(Strict):
    """Body of a fork."""

    until = Whole(
        required=True,
        validate=validate.Range(min=1, max=1 << 53),
        metadata={"description": "The `id` of the last message that is copied."},
    )
    channel = fields.String(validate=_CHANNEL, metadata={"description": "Copy only what was said on one channel."})
    thread = fields.UUID(metadata={"description": "The new thread's uuid; one is made by default."})
