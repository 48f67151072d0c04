"""What a native route says of itself: scope, body, query, answers. The same words check requests and make the docs."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from marshmallow import Schema

from api import auth, parsing


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The contract of one route; `answers` maps a status to its schema, or to a text where the body is none of ours."""

    scope: str | None
    body: Schema | None = None
    query: Schema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, Schema | str] = field(default_factory=dict)
    #: Content types of the body, where it is not JSON alone.
    body_types: tuple[str, ...] = parsing.JSON


View = Callable[..., Response]


def endpoint(
    *,
    scope: str | None,
    body: Schema | None = None,
    query: Schema | None = None,
    headers: Mapping[str, str] | None = None,
    answers: Mapping[int, Schema | str],
    body_types: tuple[str, ...] = parsing.JSON,
) -> Callable[[View], View]:
    """Check the caller and the query before a view, and keep the contract for the OpenAPI document.

    The view gets `caller` where there is a scope, `query` where there is a schema for it; it reads the body itself.
    """
    contract = Endpoint(scope, body, query, headers or {}, answers, body_types)

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def checked(**arguments: Any) -> Response:
            if contract.scope is not None:
                arguments["caller"] = auth.caller(contract.scope)
            if contract.query is not None:
                arguments["query"] = parsing.query(contract.query)
            return view(**arguments)

        checked.contract = contract  # type: ignore[attr-defined]
        return checked

    return decorate


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody on the way keeps."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
    response = Response(text, status, dict(headers or {}), content_type="application/json")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
