"""US dollars, and the bounds of what may be spent."""

from decimal import Decimal, InvalidOperation
from typing import Any

from marshmallow import ValidationError, fields

#: The books have ten decimals, and ten digits before them.
_LEAST, _MOST = Decimal("1e-10"), Decimal("1e9")


class Cost(fields.Float):
    """What something came to; null where no price is known."""

    def __init__(self, **options: Any) -> None:
        metadata = {"description": "US dollars; null where no price is known. The books have ten decimals."}
        super().__init__(allow_none=True, **{"metadata": metadata, **options})


class Dollars(fields.Float):
    """A bound in US dollars, read without a rounding."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValidationError("must be a number")
        try:
            found = Decimal(str(value)).quantize(_LEAST)
        except InvalidOperation as error:
            raise ValidationError("must be less than 1000000000") from error
        if not _LEAST <= found < _MOST:
            raise ValidationError("must be more than 0 and less than 1000000000")
        return found
