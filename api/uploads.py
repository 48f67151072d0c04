"""Files in a `multipart/form-data` body: every part with a file name is one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from api import context, parsing
from shared import strict_json
from shared.errors import Fault, Invalid, Malformed, TooLarge

FORM = "multipart/form-data"
#: Files in one request at most; together they may be as large as four of the largest.
MOST_FILES = 20
_TIMES = 4
_MOST_PARTS = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as its sender names it."""

    name: str
    mime_type: str | None
    body: bytes


def read(named: re.Pattern[str] | None = None) -> tuple[list[Upload], Mapping[str, Any]]:
    """The files of the request, and its other fields: a list for one that is given twice.

    On a wire where the parts of files must be `named` in some way, others are none. Invalid without a file or with too
    many; TooLarge, Malformed.
    """
    parsing.content_type((FORM,))
    limit = context.this().settings.max_document_bytes
    request.max_content_length, request.max_form_parts = limit * _TIMES, _MOST_PARTS
    try:
        found = request.files.items(multi=True)
        parts = [each for name, each in found if each.filename and (named is None or named.fullmatch(name))]
        fields = request.form.to_dict(flat=False)
    except RequestEntityTooLarge as error:
        raise TooLarge(limit * _TIMES) from error
    except ValueError as error:
        raise Malformed([Fault("body", f"is no {FORM}: {error}")]) from error
    try:
        if not 0 < len(parts) <= MOST_FILES:
            raise Invalid([Fault("files", f"must be 1 to {MOST_FILES} parts with a file name")])
        files = [_upload(each, limit) for each in parts]
    finally:
        # Large ones are files on a disk here.
        for each in [part for _, part in request.files.items(multi=True)]:
            each.close()
    return files, {name: values if len(values) > 1 else values[0] for name, values in fields.items()}


def _upload(part: Any, limit: int) -> Upload:
    body = part.stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(limit)
    return Upload(strict_json.clean(part.filename), part.mimetype or None, body)
