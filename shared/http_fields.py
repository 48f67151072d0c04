"""The fields of layers and tools that speak HTTP, as far as they have a form of their own."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from shared import headers, rendering, urls
from shared.kinds import Template

_RANGE = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")


def is_object(value: Any) -> None:
    """Refuse what is no object."""
    if not isinstance(value, dict):
        raise ValidationError("must be an object")


def could_be_read(template: str) -> None:
    """Refuse what is wrong with a URL whatever its values; one that begins with a reference can be anything."""
    begins = rendering.REFERENCE.match(template.strip())
    if begins is None:
        try:
            urls.read(rendering.REFERENCE.sub("1", template.strip()))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class Headers(Template):
    """An object of texts by name."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": {"type": "string"}}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise ValidationError("must be an object of texts")
        for name in value:
            try:
                headers.check_name(name)
            except ValueError as error:
                raise ValidationError(str(error)) from error
        return value


class Statuses(fields.Field[list[list[int]]]):
    """Statuses, and ranges of them: `[200, 404]`, `["200-299"]`."""

    #: Its shape for the documentation, as above.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "type": "array",
        "minItems": 1,
        "items": {
            "oneOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": f"^{_RANGE.pattern}$"},
            ]
        },
        "default": ["200-299"],
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[list[int]]:
        if not isinstance(value, list) or not value:
            raise ValidationError("must be a list of statuses and ranges, such as [404, 200-299]")
        return [self._range(each) for each in value]

    def _range(self, value: Any) -> list[int]:
        found = None if isinstance(value, bool) else _RANGE.fullmatch(str(value))
        if found is None:
            raise ValidationError("must be a list of statuses and ranges, such as [404, 200-299]")
        return [int(found[1]), int(found[2] or found[1])]
