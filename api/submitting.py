"""Accepts a batch in one transaction, and finds out what came of it if the answer was lost."""

from contextlib import suppress
from uuid import UUID, uuid4

from flask import g
from sqlalchemy.exc import IntegrityError

from api import context, idempotency
from api.lines import Lines
from shared import batches, db
from shared.batches import New
from shared.errors import Fault, Invalid, OutcomeUnknown, Repeated, Unavailable
from shared.idempotency import Once
from shared.keys import Caller

#: How often a batch is sent whose commit had no answer, before the caller is told that its outcome is unknown.
_TRIES = 3
#: Faults that are told of a batch that is refused as a whole.
_TOLD = 1000


def submit(caller: Caller, lines: Lines, *, atomic: bool) -> UUID:
    """Accept the good lines and return the name of their batch: when this returns, they are committed.

    Invalid where none is good, or with `atomic` where one is bad.
    """
    once = idempotency.asked(lines.content)
    if once and (earlier := _earlier(caller, once)):
        return earlier
    if not lines.accepted or (atomic and lines.refused):
        raise Invalid(_faults(lines))
    context.this().admission.check(caller, lines.accepted)
    new = New(uuid4(), caller.organization_id, caller.key_id, lines.total, lines.refused)
    try:
        return _created(caller, new, lines, once)
    except OutcomeUnknown:
        return _created_again(caller, new, lines, once)


def _created(caller: Caller, new: New, lines: Lines, once: Once | None) -> UUID:
    try:
        with db.transaction() as connection:
            batches.create(connection, new, lines.chunks(), once=once)
    except Repeated:
        earlier = _earlier(caller, once, new.uuid) if once else None
        if earlier is None:
            raise Unavailable("what the first request with this Idempotency-Key started is gone") from None
        return earlier
    return new.uuid


def _created_again(caller: Caller, new: New, lines: Lines, once: Once | None) -> UUID:
    """Send it again under the same name: the second of two waits for the first, and is refused where that is there."""
    for _ in range(_TRIES):
        with suppress(Unavailable):
            try:
                return _created(caller, new, lines, once)
            except IntegrityError:
                return new.uuid
    advice = (
        "repeat the request with the same Idempotency-Key" if once else "look for its executions before you repeat it"
    )
    raise OutcomeUnknown(f"the outcome is unknown, the batch may have been accepted; {advice}")


def _earlier(caller: Caller, once: Once, own: UUID | None = None) -> UUID | None:
    """What the key stands for; `own` is what this very request may have made of it."""
    found = idempotency.started(caller, once)
    if found not in (None, own):
        g.replayed = True
    return found


def _faults(lines: Lines) -> list[Fault]:
    return [
        Fault(f"lines[{refused['line']}].{error['field']}", error["message"])
        for refused in lines.refused[:_TOLD]
        for error in refused["errors"]
    ][:_TOLD]
