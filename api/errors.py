"""Errors → answers: ours as RFC 9457 problems, and on a vendor's paths in the vendor's shape."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from api.facade import Facade, Failure
from shared import registry, strict_json
from shared.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KeyReused,
    Malformed,
    NotFound,
    StrataError,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)

logger = logging.getLogger(__name__)

STATUS: Mapping[type[StrataError], int] = {
    Malformed: 400,
    Invalid: 422,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    KeyReused: 422,
    TooMany: 429,
    Gone: 410,
    TooLarge: 413,
    UnsupportedMediaType: 415,
    Unavailable: 503,
}
_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


def install(app: Flask) -> list[Facade]:
    """Register every facade, and one handler that asks which of them owns the path."""
    found = [module.FACADE for module in registry.modules("api.facades")]
    for each in found:
        app.register_blueprint(each.blueprint)

    def handle(error: Exception) -> Response:
        failure = failed(error)
        owner = next((each for each in found if each.owns(request.path)), None)
        return owner.error(failure) if owner else problem(failure)

    app.register_error_handler(Exception, handle)
    return found


def failed(error: Exception) -> Failure:
    """An error with its status and headers; what nobody expected is logged and told as 500, without its text."""
    if isinstance(error, StrataError):
        status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
        return Failure(error, status, _headers(error))
    if isinstance(error, HTTPException) and error.code is not None:
        allowed = dict(error.get_headers()).get("Allow")
        return Failure(error, error.code, {"Allow": allowed} if allowed else {})
    logger.error("request broke", exc_info=error)
    return Failure(error, 500, {})


def problem(failure: Failure) -> Response:
    """Our own shape: `application/problem+json`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(failure.status, "Error"),
        "status": failure.status,
        "detail": failure.text,
    }
    if isinstance(failure.error, Invalid):
        body["errors"] = [{"field": fault.field, "message": fault.message} for fault in failure.error.faults]
    if isinstance(failure.error, Gone):
        body |= {"reason": "expired", "execution": failure.error.tombstone}
    return Response(
        json.dumps(strict_json.clean(body)),
        failure.status,
        dict(failure.headers),
        content_type="application/problem+json",
    )


def _headers(error: StrataError) -> dict[str, str]:
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Unavailable | TooMany):
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}
