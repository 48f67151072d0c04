"""Asks another server over HTTP, at an address that may be reached from here."""

import re
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import quote, urlencode

from marshmallow import ValidationError, fields, validate, validates_schema

from shared import rendering, strict_json
from shared.errors import LayerFailed
from shared.http_fields import Headers, Statuses, could_be_read, is_object
from shared.kinds import LayerSettings, References, Template, Whole
from shared.outside import Request, Response, Scope, Tools
from shared.plan import Answer

KIND = "http"

#: How much of an answer that was not expected is told.
TOLD_CHARACTERS = 4_000
_LARGEST_BYTES = 8 << 20
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json")


class Settings(LayerSettings):
    """Settings of an `http` layer."""

    url = References(
        required=True,
        validate=[validate.Length(min=1, max=4_000), could_be_read],
        metadata={
            "description": "Absolute, of http or https. A reference that it begins with goes in as it is; anywhere"
            " else a value is encoded, so that it stays the one segment or parameter that it is put in."
        },
    )
    method = fields.String(
        load_default="GET",
        validate=validate.OneOf(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        metadata={"description": "All but GET are sent with an `Idempotency-Key` of the layer."},
    )
    headers = Headers(load_default=dict, metadata={"description": "An object of texts by name."})
    query = Template(
        load_default=dict,
        validate=is_object,
        metadata={
            "description": "Parameters by name, beside those of the URL: null is left out, a list is one parameter for"
            " each of its items."
        },
    )
    body = References(metadata={"description": "The body, a text. Either this or `json`, or neither."})
    json = Template(metadata={"description": "The body, any JSON with references in its texts."})
    expect_status = Statuses(
        load_default=lambda: [[200, 299]],
        metadata={"description": "Statuses and ranges of them; any other fails the layer."},
    )
    output = fields.String(
        load_default="json",
        validate=validate.OneOf(["json", "text", "full"]),
        metadata={"description": "The answer's body as JSON or as text; or an object of status, headers and body."},
    )
    max_bytes = Whole(
        load_default=1 << 20,
        validate=validate.Range(min=1, max=_LARGEST_BYTES),
        metadata={"description": "Largest body of an answer, in bytes."},
    )

    @validates_schema
    def _has_one_body(self, settings: Mapping[str, Any], **_: Any) -> None:
        if "body" in settings and "json" in settings:
            raise ValidationError("does not go with `body`", "json")


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Send the request and read the answer; LayerFailed with `http_status` where its status was not expected."""
    body, content_type = _body(settings, scope)
    response = tools.fetch(
        Request(
            method=settings["method"],
            url=address(settings["url"], pairs(scope.fill(settings["query"])), scope),
            headers=_headers(settings, scope, content_type),
            body=body,
            max_bytes=settings["max_bytes"],
        )
    )
    if not any(low <= response.status <= high for low, high in settings["expect_status"]):
        text = text_of(response)[:TOLD_CHARACTERS]
        raise LayerFailed("http_status", f"the server answered {response.status}\n{text}".rstrip())
    return Answer(_output(settings["output"], response), details={"status": response.status})


def address(template: str, query: list[tuple[str, str]], scope: Scope) -> str:
    """The URL of a template with references, and further parameters."""

    def fill(match: re.Match[str]) -> str:
        text = scope.render(match[0])
        # What a URL begins with may be the address of a server; a value anywhere else must not lead elsewhere.
        return text if match.start() == 0 else quote(text, safe="")

    url = rendering.REFERENCE.sub(fill, template.strip()).partition("#")[0]
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if query else url


def pairs(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters of a query by name: null is left out, a list is one for each of its items."""
    return [
        (name, rendering.as_text(each))
        for name, value in found.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]


def text_of(response: Response) -> str:
    """The body of an answer as text, in its own alphabet."""
    try:
        return response.body.decode(_type(response).get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return response.body.decode(errors="replace")


def _headers(settings: Mapping[str, Any], scope: Scope, content_type: str | None) -> dict[str, str]:
    filled = {name: scope.render(text) for name, text in settings["headers"].items()}
    if content_type is not None and "content-type" not in {name.lower() for name in filled}:
        filled["Content-Type"] = content_type
    return filled


def _body(settings: Mapping[str, Any], scope: Scope) -> tuple[bytes | None, str | None]:
    """The body, and its type."""
    if "json" in settings:
        filled = scope.fill(settings["json"])
        # One that names a large value many times shares it, until it is written.
        if strict_json.characters(filled, at_most=rendering.MOST_CHARACTERS) > rendering.MOST_CHARACTERS:
            raise LayerFailed("value_invalid", f"the body comes to more than {rendering.MOST_CHARACTERS} characters")
        return strict_json.dumps(filled).encode(), "application/json"
    if "body" in settings:
        return scope.render(settings["body"]).encode(errors="replace"), "text/plain; charset=utf-8"
    return None, None


def _output(form: str, response: Response) -> Any:
    if form == "json":
        return _json(response)
    if form == "text":
        return text_of(response)
    # Of what says that it is JSON, the value is of more use than the text.
    body = _json(response) if _JSON.fullmatch(_type(response).get_content_type()) else text_of(response)
    return {"status": response.status, "headers": dict(response.headers), "body": body}


def _json(response: Response) -> Any:
    try:
        # A body of nothing, as with status 204, is null.
        return strict_json.loads(response.body.decode("utf-8-sig")) if response.body.strip() else None
    except ValueError as error:
        text = text_of(response)[:TOLD_CHARACTERS]
        raise LayerFailed("value_invalid", f"the answer is not JSON: {error}\n{text}"[:TOLD_CHARACTERS]) from error


def _type(response: Response) -> Message:
    described = Message()
    described["Content-Type"] = response.headers.get("content-type", "text/plain")
    return described
