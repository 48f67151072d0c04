"""Accepts an order in one statement, finds out what came of it if the answer was lost; waits for its end if asked."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError

from api import context, idempotency
from shared import acceptance, db, reports
from shared.errors import Fault, NotFound, OutcomeUnknown, Repeated, Unavailable
from shared.idempotency import Once
from shared.keys import Caller
from shared.order import Order
from shared.report import Report

#: How often an acceptance whose answer was lost is looked for before the caller is told that its outcome is unknown.
_TRIES = 3


def accept(caller: Caller, order: Order, faults: Sequence[Fault] = ()) -> Report:
    """Accept an order: when this returns, it is committed. OutcomeUnknown where Postgres went away meanwhile."""
    return _accept(caller, order, faults, uuid4())


def accept_and_wait(caller: Caller, order: Order, seconds: float, faults: Sequence[Fault] = ()) -> Report:
    """Accept an order and wait for its end, at most so long; returns the report as it is then.

    With Postgres away at that moment, it is the report as it was accepted.
    """
    uuid = uuid4()
    with context.this().waiters.expecting(uuid) as bell:
        report = _accept(caller, order, faults, uuid)
        if report.uuid == uuid:
            bell.wait(seconds)
        elif not report.ended:
            wait(report, seconds)
    try:
        return find(caller, report.id)
    except Unavailable:
        # It is accepted all the same, and who is refused would ask for another.
        return report


def repeated(caller: Caller) -> Report | None:
    """The report of what this very request has started before, by its idempotency key; None where it is new.

    For views that look at what may have changed since, before they accept.
    """
    once = idempotency.asked()
    return idempotency.earlier(caller, once) if once else None


def wait(report: Report, seconds: float) -> bool:
    """Wait for the end of an execution, at most so long; holds no connection meanwhile."""
    with context.this().waiters.expecting(report.uuid) as bell:
        with suppress(Unavailable):
            if over([report.uuid]):
                return True
        return bell.wait(seconds)


def find(caller: Caller, name: int | UUID) -> Report:
    """The report of one of the caller's executions; NotFound, Gone."""
    with db.autocommit() as connection:
        return reports.find(connection, caller.organization_id, name)


def _accept(caller: Caller, order: Order, faults: Sequence[Fault], uuid: UUID) -> Report:
    once = idempotency.asked()
    if once and (report := idempotency.earlier(caller, once)):
        return report
    context.this().admission.check(caller)
    try:
        return _accepted(caller, order, faults, uuid, once)
    except OutcomeUnknown:
        return _accept_again(caller, order, faults, uuid, once)


def _accepted(caller: Caller, order: Order, faults: Sequence[Fault], uuid: UUID, once: Once | None) -> Report:
    # More than one statement only where a key, kept results or a thread come with it.
    opened = db.transaction if once or order.origin or order.thread else db.autocommit
    try:
        with opened() as connection:
            report = acceptance.accept(
                connection,
                caller.organization_id,
                order,
                uuid=uuid,
                faults=faults,
                key_id=caller.key_id,
                once=once,
                catalog_version=caller.catalog_version,
                providers=context.this().providers,
                sealer=context.this().sealer,
            )
    except Repeated:
        earlier = idempotency.earlier(caller, once) if once else None
        if earlier is None:
            raise Unavailable("what the first request with this Idempotency-Key started is gone") from None
        return earlier
    if order.origin and order.origin.keep:
        # What was kept is part of the report from the beginning. Without Postgres the shorter one will do.
        with suppress(Unavailable):
            return find(caller, report.id)
    return report


def _accept_again(caller: Caller, order: Order, faults: Sequence[Fault], uuid: UUID, once: Once | None) -> Report:
    """Look for an execution, and accept it where it is not there: it may be about to be, and is then waited for.

    The statement whose connection broke may still be under way. The second of two with one uuid waits for the first,
    and is refused where that is committed.
    """
    for _ in range(_TRIES):
        try:
            return find(caller, uuid)
        except NotFound:
            with suppress(Unavailable, IntegrityError):
                return _accepted(caller, order, faults, uuid, once)
        except Unavailable:
            continue
    advice = "repeat the request with the same Idempotency-Key" if once else "look for it before you repeat the request"
    raise OutcomeUnknown(f"the outcome is unknown, the execution may have been accepted; {advice}")


def over(uuids: Sequence[UUID]) -> Sequence[UUID]:
    """Which of these executions have nothing to wait for; Unavailable where Postgres is away."""
    with db.autocommit() as connection:
        return reports.over(connection, uuids)
