"""How a stream of events is taken up again."""

import re

from marshmallow import fields, validate

from shared.kinds import Strict

#: A place in a stream of events, or the word for its end.
EVENT_ID = re.compile(r"(?:[0-9]{1,19}-[0-9]{1,19}|ended)\Z")


class Resume(Strict):
    """Query of a stream of events."""

    last_event_id = fields.String(
        validate=validate.Regexp(EVENT_ID, error="is not the id of an event"),
        metadata={"description": "As the header `Last-Event-ID`, which goes before it."},
    )
