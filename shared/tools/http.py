"""Asks another server over HTTP: what the model gives goes into the query of a GET, and is the JSON body of any other.

Address and headers are the definition's; a model can lead a request nowhere else.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared import strict_json
from shared.errors import LayerFailed
from shared.http_fields import Headers, could_be_read
from shared.kinds import References
from shared.layers import http
from shared.outside import Request, Scope, Tools
from shared.toolbox import ANYTHING, Function, FunctionSettings, ParamsSchema, one

TYPE = "http"


class Settings(FunctionSettings):
    """Settings of an `http` tool."""

    url = References(
        required=True,
        validate=[validate.Length(min=1, max=4_000), could_be_read],
        metadata={"description": "Absolute, of http or https; a value in it is encoded, as with an `http` layer."},
    )
    method = fields.String(
        load_default="GET",
        validate=validate.OneOf(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        metadata={"description": "A GET has what the model gives as its query, any other as a JSON body."},
    )
    headers = Headers(load_default=dict, metadata={"description": "An object of texts by name."})
    params_schema = ParamsSchema(
        load_default=lambda: dict(ANYTHING), metadata={"description": "What the model gives with a call."}
    )


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """The one that it is."""
    return one(settings, settings["params_schema"])


def call(function: Function, arguments: Mapping[str, Any], scope: Scope, tools: Tools) -> str:
    """The text of the answer; LayerFailed with `http_status` where its status says that it is none."""
    settings, reads = function.tool, function.tool["method"] == "GET"
    headers = {name: scope.render(text) for name, text in settings["headers"].items()}
    if not reads and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/json"
    response = tools.fetch(
        Request(
            method=settings["method"],
            url=http.address(settings["url"], http.pairs(arguments) if reads else [], scope),
            headers=headers,
            body=None if reads else strict_json.dumps(dict(arguments)).encode(errors="replace"),
        )
    )
    text = http.text_of(response)
    if not 200 <= response.status <= 299:
        raise LayerFailed("http_status", f"the server answered {response.status}\n{text}"[: http.TOLD_CHARACTERS])
    return text
