"""Executions of one organization in a state that is worth a race, and what may be done to them, each as a call."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection

from shared import acceptance, checkpoints, db, executions, threads
from shared.executions import Claim
from shared.idempotency import Once
from shared.order import Order, Origin
from shared.plan import Usage
from shared.report import Report
from tests import factories
from tests.factories import KEEP_SECONDS, QUEUES

Call = Callable[[], Any]

_STATE = """
    SELECT status, blocked_by, attempt, deaths, reason, usage, cancel_requested_at IS NOT NULL AS cancelling,
           array_position(CAST(:workers AS uuid[]), worker) AS worker,
           (SELECT json_agg(path || passed ORDER BY path) FROM layer_results WHERE execution_id = e.id) AS layers,
           (SELECT count(*) FROM messages m WHERE m.thread_id = e.thread_id AND m.id <= e.history_until) AS history,
           (SELECT json_agg(role ORDER BY m.id) FROM messages m WHERE m.execution_uuid = e.uuid) AS messages
      FROM executions e
"""


class Stage:
    """Two workers that live, one that is dead, and nothing to do; `clear` it for another go."""

    def __init__(self, organization: int) -> None:
        self.organization = organization
        #: Of those that are on one.
        self.thread = uuid4()
        self.one, self.other = factories.enter_worker(), factories.enter_worker()
        self.dead = factories.enter_worker(lease_seconds=-1.0)

    def clear(self) -> None:
        """Have no execution and no cap."""
        self.limit(None)
        for table in ("executions", "contents", "layer_results"):
            factories.change(f"DELETE FROM {table}")
        factories.change("DELETE FROM threads")

    def state(self) -> list[str]:
        """What is known of each execution, but which of them it is."""
        workers = [str(each) for each in (self.one, self.other, self.dead)]
        return sorted(str(tuple(row)) for row in factories.query(_STATE, workers=workers))

    # What there is before the two begin.

    def limit(self, cap: int | None) -> None:
        factories.change("UPDATE organizations SET max_running = :cap", cap=cap)

    def queued(self, count: int = 1, **details: Any) -> Report:
        """The last of so many executions that can be claimed, or wait for a place."""
        return [factories.accept(self.organization, **details) for _ in range(count)][-1]

    def talking(self, count: int = 1, **details: Any) -> Report:
        """The last of so many executions on one thread, of which the first can be claimed."""
        return self.queued(count, thread=self.thread, **details)

    def running(self, *, capped: bool = False, worker: UUID | None = None, **details: Any) -> Claim:
        self.limit(1 if capped else None)
        self.queued(**details)
        found = factories.claim(worker or self.one)
        assert found is not None
        return found

    def speaking(self, channel: str = "default", *, capped: bool = False) -> Claim:
        """One that runs on the thread, and has something to add to it."""
        claim = self.running(capped=capped, thread=self.thread, channel=channel)
        said = {"channel": channel, "user": "Hello?", "assistant": "Hello."}
        factories.record(claim, factories.result(said=said))
        return claim

    def idle(self) -> None:
        """A thread that nobody has used for long."""
        self.cancels(self.talking())()
        factories.change("UPDATE threads SET used_at = now() - interval '1 year'")

    def left_over(self) -> Report:
        """The last of two that wait on the thread, for one that has ended without letting them go."""
        found = self.talking(3)
        factories.change("UPDATE executions SET deadline_at = now() WHERE status = 'queued'")
        ends_overdue()
        return found

    def scheduled(self, **details: Any) -> Report:
        """One that is due and not promoted yet."""
        found = factories.accept(self.organization, not_before="2100-01-01T00:00:00+00:00", **details)
        factories.change("UPDATE executions SET not_before = now() - interval '1 second'")
        return found

    def parked(self, *, due: bool = False) -> Claim:
        found = self.running()
        factories.park(found)
        if due:
            factories.change("UPDATE executions SET parked_until = now() - interval '1 second'")
        return found

    def overdue(self) -> Claim:
        claim = self.running()
        factories.change("UPDATE executions SET deadline_at = now()")
        return claim

    def expired(self) -> Claim:
        """One that has ended with a layer passed, long ago."""
        claim = self.running()
        factories.finish(claim, last=factories.result(), keep_seconds=-1.0)
        return claim

    # What the two do.

    def accepts(self, *, once: Once | None = None, **details: Any) -> Call:
        order, uuid = Order("pipeline", **details), uuid4()

        def accept() -> None:
            with db.transaction() as connection:
                acceptance.accept(connection, self.organization, order, uuid=uuid, once=once)

        return accept

    def talks(self, **details: Any) -> Call:
        """Accept an execution on the thread."""
        return self.accepts(thread=self.thread, **details)

    def repairs(self, claim: Claim) -> Call:
        return self.accepts(origin=Origin(claim.id, ("answer/0",)))

    def claims(self, worker: UUID) -> Call:
        def claim() -> int | None:
            with db.autocommit() as connection:
                found = executions.claim(connection, worker, QUEUES)
            if not isinstance(found, int):
                return found.attempt if found else None
            return self.claims_capped(found, worker)() or claim()

        return claim

    def claims_capped(self, execution_id: int, worker: UUID) -> Call:
        def claim() -> int | None:
            with db.transaction() as connection:
                taken = executions.claim_capped(connection, worker, execution_id)
            return taken.attempt if taken else None

        return claim

    def takes_over(self, claim: Claim) -> Call:
        """Take an execution from its worker and claim it; what has passed by then is what the attempt goes on from."""

        def take_over() -> list[str]:
            requeues(claim)()
            self.claims(self.other)()
            with db.autocommit() as connection:
                return list(checkpoints.past(connection, claim.id).done)

        return take_over

    def cancels(self, found: Report | Claim) -> Call:
        return lambda: factories.cancel(self.organization, found.uuid)


def ends(claim: Claim, status: str = "succeeded") -> Call:
    return lambda: factories.finish(claim, status)


def ends_beside(claim: Claim) -> Call:
    """End an execution while a layer of it may still be writing, as a worker does with a layer that hangs."""

    def end(connection: Connection) -> bool:
        executions.hold(connection, claim.id)
        return executions.finish(connection, claim, "failed", keep_seconds=KEEP_SECONDS)

    return _in_transaction(end)


def records(claim: Claim) -> Call:
    return lambda: factories.record(claim, factories.result(usage=Usage(1, 2, 3)))


def releases(claim: Claim) -> Call:
    return lambda: factories.release(claim)


def parks(claim: Claim) -> Call:
    return lambda: factories.park(claim)


def recalls(claim: Claim) -> Call:
    return _in_transaction(lambda connection: len(executions.recall(connection, [claim.uuid])))


def hands_over(claim: Claim, worker: UUID) -> Call:
    return _in_transaction(lambda connection: executions.hand_over(connection, claim, worker))


def fails(claim: Claim) -> Call:
    ending = {"error": "because", "keep_seconds": KEEP_SECONDS}
    return _in_transaction(lambda connection: executions.fail(connection, claim.id, **ending))


def requeues(claim: Claim) -> Call:
    return _in_transaction(lambda connection: executions.requeue(connection, claim.id))


def _in_transaction(function: Callable[..., Any]) -> Call:
    def call() -> Any:
        with db.transaction() as connection:
            return function(connection)

    return call


# Sweeps leave what is locked for the next time, so what one of them has found says nothing.


def rescues() -> None:
    factories.rescue()


def promotes() -> None:
    with db.transaction() as connection:
        executions.promote(connection)


def ends_overdue() -> None:
    with db.transaction() as connection:
        executions.end_overdue(connection, keep_seconds=KEEP_SECONDS)


def forgets() -> None:
    with db.transaction() as connection:
        threads.forget(connection, days=0.0)


def erases() -> None:
    with db.transaction() as connection:
        executions.erase(connection)
