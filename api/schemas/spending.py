"""What an organization has spent."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from api.schemas.costs import Cost
from api.schemas.pages import Page
from shared.kinds import Strict
from shared.spending import GROUPS


class Groups(fields.String):
    """Names with commas between."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        names = [name.strip() for name in str(value).split(",")]
        if strangers := sorted(set(names) - set(GROUPS)):
            raise ValidationError(f"must be of {', '.join(GROUPS)}, and not {strangers[0][:50]}")
        return names


class ListSpending(Page):
    """Query of what was spent."""

    first = fields.Date(data_key="from", metadata={"description": "First day, in UTC; 29 days before `to` by default."})
    last = fields.Date(data_key="to", metadata={"description": "Last day, in UTC; today by default."})
    group_by = Groups(
        load_default=("day",),
        metadata={"description": "Any of `day`, `key`, `model` and `pipeline`, with commas between; `day` by default."},
    )


class Part(Strict):
    """Some of the calls."""

    calls = fields.Integer(required=True)
    tokens = fields.Integer(required=True)
    cost = Cost(required=True)


class Sum(Strict):
    """What calls came to."""

    calls = fields.Integer(
        required=True, metadata={"description": "Calls that were sent to providers, but the uncertain ones."}
    )
    answered = fields.Integer(required=True)
    prompt_tokens = fields.Integer(required=True)
    completion_tokens = fields.Integer(required=True)
    total_tokens = fields.Integer(required=True)
    cost = Cost(required=True)
    retried = fields.Nested(
        Part, required=True, metadata={"description": "How much of it was for calls that were made again."}
    )
    uncertain = fields.Nested(
        Part,
        required=True,
        metadata={"description": "Beside it: calls that were cut before their answers, as they were estimated."},
    )
    unpriced_calls = fields.Integer(
        required=True,
        metadata={"description": "Calls whose cost is not known, and not in `cost`: their models have no price."},
    )


class Group(Sum):
    """A sum, and what it is of: what it was asked to be grouped by."""

    day = fields.Date()
    key = fields.Integer(allow_none=True, metadata={"description": "Id of the key that asked; null where none did."})
    model = fields.String(metadata={"description": "`provider/model`."})
    pipeline = fields.String(metadata={"description": "The handle; what runs inside of another counts for that."})


class Spending(Strict):
    """A page of sums, by what they are grouped by in the order of `group_by`, and the sum of all pages."""

    first = fields.Date(data_key="from", required=True)
    last = fields.Date(data_key="to", required=True)
    group_by = fields.List(fields.String(validate=validate.OneOf(GROUPS)), required=True)
    groups = fields.List(fields.Nested(Group), required=True)
    total = fields.Nested(Sum, required=True)
    next_cursor = fields.String(required=True, allow_none=True)
