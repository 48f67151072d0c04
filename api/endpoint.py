"""What a native route says of itself: scope, body, query, answers. The same words check requests and make the docs."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response
from marshmallow import Schema

from api import auth, parsing

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is no JSON: what it is, of which content type, and how it looks."""

    description: str
    content_type: str
    example: str


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and how they may be filled."""

    fields: Schema
    example: Any


Said = Schema | tuple[Schema, ...] | Text | str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The contract of one route.

    `answers` maps a status to its schema, or to several of which one fits; to a Text; or to a description alone where
    the body is none of ours.
    """

    scope: str | None
    body: Schema | None = None
    query: Schema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, Said] = field(default_factory=dict)
    #: Content types of the body, where it is not JSON alone.
    body_types: tuple[str, ...] = parsing.JSON
    #: A body that comes as `multipart/form-data` instead.
    form: Form | None = None
    #: A body that can be sent as it stands, for the documentation.
    example: Any = None
    #: False on a facade, whose errors are the vendor's and stand in `answers`.
    problems: bool = True


View = Callable[..., Response]
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def endpoint(
    *,
    scope: str | None,
    body: Schema | None = None,
    query: Schema | None = None,
    headers: Mapping[str, str] | None = None,
    answers: Mapping[int, Said],
    body_types: tuple[str, ...] = parsing.JSON,
    form: Form | None = None,
    example: Any = None,
) -> Callable[[View], View]:
    """Check the caller and the query before a view, and keep the contract for the OpenAPI document.

    The view gets `caller` where there is a scope, `query` where there is a schema for it; it reads the body itself.
    """
    stated = Endpoint(scope, body, query, headers or {}, answers, body_types, form, example)

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def checked(**arguments: Any) -> Response:
            if stated.scope is not None:
                arguments["caller"] = auth.caller(stated.scope)
            if stated.query is not None:
                arguments["query"] = parsing.query(stated.query)
            return view(**arguments)

        checked.contract = stated  # type: ignore[attr-defined]
        return checked

    return decorate


def described(
    *,
    scope: str | None,
    body: Schema | None = None,
    query: Schema | None = None,
    headers: Mapping[str, str] | None = None,
    answers: Mapping[int, Schema | Text | str],
    form: Form | None = None,
    example: Any = None,
) -> Callable[[View], View]:
    """Keep a facade's contract for the OpenAPI document; its view checks the request itself, in the vendor's order."""

    def decorate(view: View) -> View:
        view.contract = Endpoint(  # type: ignore[attr-defined]
            scope, body, query, headers or {}, answers, form=form, example=example, problems=False
        )
        return view

    return decorate


def contract(view: Callable[..., Any]) -> Endpoint | None:
    """What a view says of itself; None where it says nothing."""
    found: Endpoint | None = getattr(view, "contract", None)
    return found


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody on the way keeps."""
    text = _JSON.encode(body).encode()
    told = {"Cache-Control": "no-store", "Content-Length": str(len(text)), **(headers or {})}
    return _Answer(text, status, told, content_type="application/json")


class _Answer(Response):
    """An answer whose headers are those to be sent; Werkzeug would read and copy all of them once more."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> "Headers":
        # Who has the body already gets fewer.
        return super().get_wsgi_headers(environ) if self.status_code == HTTPStatus.NOT_MODIFIED else self.headers
