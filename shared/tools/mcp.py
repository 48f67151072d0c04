"""Lets the model call the tools of a server of the Model Context Protocol, over its streamable HTTP."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared.http_fields import could_be_read
from shared.kinds import References
from shared.outside import Scope, Server, Tools
from shared.toolbox import Function, NamedSettings

TYPE = "mcp"
#: What it offers is known elsewhere.
REMOTE = True
#: Of one server, so many at most are offered.
MOST_TOOLS = 128
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


class Settings(NamedSettings):
    """Settings of an `mcp` tool."""

    url = References(
        required=True,
        validate=[validate.Length(min=1, max=4_000), could_be_read],
        metadata={"description": "The server's address."},
    )
    authorization_token = References(
        allow_none=True,
        load_default=None,
        validate=validate.Length(min=1, max=8_000),
        metadata={"description": "Sent as a bearer token; best a `${VARIABLE}`."},
    )
    allowed_tools = fields.List(
        fields.String(validate=validate.Length(min=1, max=200)),
        allow_none=True,
        load_default=None,
        validate=validate.Length(max=MOST_TOOLS),
        metadata={"description": "The server's tools that the model is offered; all of them where there is none."},
    )


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """Those of the server's tools that are allowed, each behind the name of this one."""
    allowed = settings["allowed_tools"]
    found = [each for each in tools.remote_tools(server(settings, scope)) if not allowed or each["name"] in allowed]
    return [
        Function(_name(settings["name"], each["name"]), each["description"], each["parameters"], settings, each["name"])
        for each in found[:MOST_TOOLS]
    ]


def call(function: Function, arguments: Mapping[str, Any], scope: Scope, tools: Tools) -> str:
    """The text of what the server's tool gave; LayerFailed where it says that it failed."""
    return tools.call_remote(server(function.tool, scope), function.known_as, arguments)


def server(settings: Mapping[str, Any], scope: Scope) -> Server:
    """The server, with what lets us in."""
    token = settings["authorization_token"]
    return Server(scope.render(settings["url"]).strip(), None if token is None else scope.render(token))


def _name(prefix: str, remote: str) -> str:
    return f"{prefix}_{_NO_NAME.sub('_', remote)}"[:64]
