"""Has the provider search the web while it answers; there is nothing to call, and not every provider can."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared.outside import Scope, Tools
from shared.toolbox import RESERVED, Function, ToolSettings

TYPE = RESERVED
_DOMAIN = r"^[A-Za-z0-9.-]{1,253}$(?!\n)"


class Settings(ToolSettings):
    """Settings of the `web_search` tool."""

    allowed_domains = fields.List(
        fields.String(validate=validate.Regexp(_DOMAIN)),
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=100),
        metadata={"description": "Where it may search; anywhere where there is none."},
    )


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """None: the provider does it by itself."""
    return []
