"""Starts an order and answers it on our own wire: 202 with its place, or 200 where its end was waited for and seen."""

import re
from collections.abc import Sequence

from flask import Response, request

from api import accepting, context, idempotency, native, schemas
from api.endpoint import answer
from shared.errors import Fault
from shared.keys import Caller
from shared.order import Order
from shared.report import Report

#: The longest that `Prefer: wait` waits, in seconds.
LONGEST_WAIT_SECONDS = 60
PREFER = {"Prefer": "`wait=30`: answer when the execution has ended, at the latest after so many seconds, at most 60."}
ANSWERS = {
    202: schemas.Execution(),
    200: schemas.Execution(),
    409: schemas.Problem(),
    410: schemas.Problem(),
    429: schemas.Problem(),
}
HEADERS = {**PREFER, idempotency.HEADER: idempotency.DESCRIPTION}


def started(caller: Caller, order: Order, faults: Sequence[Fault] = ()) -> Response:
    """Accept an order and answer with its report."""
    seconds = wait_seconds()
    if seconds:
        return answered(accepting.accept_and_wait(caller, order, seconds, faults))
    return answered(accepting.accept(caller, order, faults))


def answered(report: Report) -> Response:
    """Answer with the report of what was started."""
    place = f"{context.this().settings.public_url.rstrip('/')}/v2/executions/{report.uuid}"
    return answer(native.answer(report), 200 if report.ended else 202, {"Location": place, **applied(wait_seconds())})


def wait_seconds() -> float:
    """Seconds of `Prefer: wait` (RFC 7240), 0 without it; what cannot be read is not preferred."""
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", request.headers.get("Prefer", ""))
    return float(min(int(found[1]), LONGEST_WAIT_SECONDS)) if found else 0.0


def applied(seconds: float) -> dict[str, str]:
    """The header that tells a preference was honoured."""
    return {"Preference-Applied": f"wait={seconds:.0f}"} if seconds else {}
