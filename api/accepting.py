"""Accepts an order in one statement, looks it up where the answer was lost, and waits for its end if that is asked."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from api import context
from shared import db, executions, reports
from shared.doorbell import Bell
from shared.errors import Fault, NotFound, OutcomeUnknown, Unavailable
from shared.keys import Caller
from shared.order import Order
from shared.report import Report

#: Looks for a commit whose answer was lost before the caller is told that its outcome is unknown.
_LOOKS = 2


def accept(caller: Caller, order: Order, faults: Sequence[Fault] = ()) -> Report:
    """Accept an order: when this returns, it is committed. OutcomeUnknown where Postgres went away meanwhile."""
    return _accept(caller, order, faults, uuid4())


def accept_and_wait(caller: Caller, order: Order, seconds: float, faults: Sequence[Fault] = ()) -> Report:
    """Accept an order and wait for its end, at most so long; returns the report as it is then."""
    uuid = uuid4()
    with context.this().waiters.expecting(uuid) as bell:
        report = _accept(caller, order, faults, uuid)
        ends(bell, uuid, seconds)
    return find(caller, report.id)


def wait(report: Report, seconds: float) -> bool:
    """Wait for the end of an execution, at most so long; holds no connection meanwhile."""
    with context.this().waiters.expecting(report.uuid) as bell:
        return _has_ended(report.uuid) or ends(bell, report.uuid, seconds)


def find(caller: Caller, name: int | UUID) -> Report:
    """The report of one of the caller's executions; NotFound, Gone."""
    with db.autocommit() as connection:
        return reports.find(connection, caller.organization_id, name)


def _accept(caller: Caller, order: Order, faults: Sequence[Fault], uuid: UUID) -> Report:
    try:
        with db.autocommit() as connection:
            return executions.accept(connection, caller.organization_id, order, uuid=uuid, faults=faults)
    except OutcomeUnknown:
        return _look(caller, uuid)


def _look(caller: Caller, uuid: UUID) -> Report:
    for _ in range(_LOOKS):
        try:
            return find(caller, uuid)
        except NotFound as error:
            raise Unavailable("the database went away, and the execution is not there since") from error
        except Unavailable:
            continue
    raise OutcomeUnknown("the outcome is unknown: the execution may have been accepted")


def ends(bell: Bell, uuid: UUID, seconds: float) -> bool:
    """Wait for an execution to end by a bell hung up before; true if it has."""
    return bell.wait(seconds, lambda: _has_ended(uuid))


def _has_ended(uuid: UUID) -> bool:
    try:
        with db.autocommit() as connection:
            found = executions.glance(connection, uuid)
    except Unavailable:
        # Postgres will be back, or the time be over; a caller that waits is not told of every hiccup.
        return False
    return found is None or found[1] in executions.ENDED
