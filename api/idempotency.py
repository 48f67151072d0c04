"""`Idempotency-Key`: a request that is sent again starts nothing, and is answered from what the first one started.

The key is bound to method, path and body; who sends it again may do so with another API key of the organization.
"""

import hashlib
import json
import re
from uuid import UUID

from flask import Flask, Response, g, request

from shared import db, idempotency, reports
from shared.errors import Fault, Malformed
from shared.idempotency import Once
from shared.keys import Caller
from shared.report import Report

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
DESCRIPTION = (
    "At most 255 visible characters: however often the request is sent with it, it starts one execution. Kept as long"
    " as the execution is known. The same key with another method, path or body is 422."
)
# A text in quotation marks, as the IETF's draft has it, and the same text without them are the same key.
_KEY = re.compile(r'"?([\x20-\x21\x23-\x7e]{1,255})"?')


def install(app: Flask) -> None:
    """Mark the answers that were given before."""

    @app.after_request
    def mark(response: Response) -> Response:
        if g.get("replayed"):
            response.headers[REPLAYED] = "true"
        return response


def asked(content: str | None = None) -> Once | None:
    """The key of this request, None where it has none; Malformed for one that cannot be a key.

    The body has to have been read before. Where it was no document, `content` stands for it, and so does the query.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    found = _KEY.fullmatch(given.strip())
    if found is None or not found[1].strip():
        raise Malformed([Fault(HEADER, "must be 1 to 255 visible ASCII characters")])
    body = json.dumps(g.get("document"), sort_keys=True) if content is None else f"{_query()}\0{content}"
    asked_for = "\0".join((request.method, re.sub("/+", "/", request.path), body))
    return Once(found[1], hashlib.sha256(asked_for.encode()).digest())


def earlier(caller: Caller, once: Once) -> Report | None:
    """The report of what this request started before; None where it is new.

    KeyReused where the key stands for another request; Gone once its results have expired.
    """
    with db.autocommit() as connection:
        uuid = idempotency.find(connection, caller.organization_id, once)
        if uuid is None:
            return None
        g.replayed = True
        return reports.find(connection, caller.organization_id, uuid)


def started(caller: Caller, once: Once) -> UUID | None:
    """The name of what this request started before, None where it is new; KeyReused as above."""
    with db.autocommit() as connection:
        return idempotency.find(connection, caller.organization_id, once)


def _query() -> str:
    return json.dumps(sorted(request.args.items(multi=True)))
