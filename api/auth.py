"""The key in a request → who calls, or 401 or 403."""

from flask import request

from api import context
from shared import db, keys
from shared.errors import Forbidden, Unauthorized
from shared.keys import Caller

SCHEME = "bearer "


def caller(scope: str) -> Caller:
    """Return who calls; Unauthorized without a good key, Forbidden where it lacks the scope."""
    key = _key()
    if key.startswith(keys.PREFIX) and not keys.well_formed(key) and key != context.this().settings.bootstrap_key:
        raise Unauthorized("missing or invalid API key")
    with db.autocommit() as connection:
        found = keys.authenticate(connection, key)
    if not found.may(scope):
        raise Forbidden(scope)
    return found


def _key() -> str:
    """The key from `Authorization: Bearer` or `x-api-key`; never from the URL, which ends up in logs."""
    authorization = request.headers.get("Authorization", "")
    if authorization[: len(SCHEME)].lower() == SCHEME:
        return authorization[len(SCHEME) :].strip()
    if authorization:
        return ""
    return request.headers.get("X-Api-Key", "").strip()
