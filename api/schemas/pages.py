"""How lists are read: a page at a time."""

from marshmallow import fields, validate

from shared.kinds import Strict

#: Of a name, a tag, a text to search by.
SHORT = validate.Length(max=200)


class Page(Strict):
    """Query of a list."""

    cursor = fields.String(metadata={"description": "`next_cursor` of the page before."})
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
