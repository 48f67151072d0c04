"""What workers do: come, claim, record, end, give back, hand over, die."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple

from shared import db, executions, workers
from shared.errors import Fenced
from shared.executions import Claim
from shared.order import QUEUES
from shared.plan import Result, Usage
from tests import factories
from tests.shared.protocol.callers import LAYERS, Callers
from tests.shared.protocol.machine import KEEP_SECONDS, LEASE_SECONDS
from tests.shared.protocol.steps import accepted, claims, crew, refused, step

PATHS = [path for paths in LAYERS.values() for path in paths]
_paths = st.sampled_from(PATHS)
_ways = st.sampled_from(("dies", "gives it back", "is made to give it back", "parks it"))
_queues = st.sampled_from((QUEUES, QUEUES, ("onsite",), ("low", "normal")))


class Crew(Callers):
    """Rules of the workers; a claim may be long lost when one of them uses it."""

    @initialize(target=crew)
    def begin(self) -> Any:
        return multiple(self.new_worker(), self.new_worker())

    @step(target=crew, worker=crew, event=st.sampled_from(("heartbeat", "dies", "drains", "another comes")))
    def go_on(self, worker: Any, event: str) -> Any:
        if event == "another comes":
            return self.new_worker()
        {"heartbeat": self._renew, "dies": self._end_lease, "drains": self._drain}[event](worker)
        return multiple()

    @step(target=claims, worker=crew, queues=_queues)
    def claim(self, worker: Any, queues: tuple[str, ...]) -> Any:
        claim = self.claim_one(worker, queues)
        return multiple() if claim is None else claim

    @step(target=claims, claim=claims, path=_paths, cancelled=st.sampled_from((False, False, True)), way=_ways)
    def lose(self, claim: Claim, path: str, cancelled: bool, way: str) -> Any:
        """Have an execution's worker lose it with a layer done, and another one claim what there is."""
        each = self.expected(claim.id)
        if each.worker is None:
            return multiple()
        self._record(claim, path, passed=True)
        if cancelled:
            self._cancel(claim.id, each)
        if way == "dies":
            self._end_lease(each.worker)
            self.rescue()
        elif way == "gives it back":
            self._release(claim.id, each.attempt)
        elif way == "parks it":
            self._park(claim)
            self.recall(claim.id)
            self.check()
            self.promote()
        else:
            self._requeue(claim.id, each)
        self.check()
        worker = self.new_worker()
        taken = list(iter(lambda: self.claim_one(worker), None))
        for again in taken:
            if again.id == claim.id:
                # What has passed stands, whatever a later attempt makes of it.
                self._record(again, path, passed=False)
        self._come_back(claim)
        return multiple(*taken)

    @step(claim=claims, path=_paths, passed=st.booleans())
    def record(self, claim: Claim, path: str, passed: bool) -> None:
        self._record(claim, path, passed=passed)
        self._come_back(claim)

    def _come_back(self, claim: Claim) -> None:
        """Have a worker that has lost its claim go on as if nothing had been: it can change nothing."""
        if not self.expected(claim.id).owned_by(claim.attempt):
            for path in PATHS:
                self._record(claim, path, passed=True)
            self._release(claim.id, claim.attempt)
            self._park(claim)
            self._hand_over(claim)
            self.finish_one(claim, "succeeded", output="too late")

    def _record(self, claim: Claim, path: str, *, passed: bool) -> None:
        each = self.expected(claim.id)
        result = self._result(claim, path, passed=passed)
        fenced = not each.owned_by(claim.attempt) or not each.takes(claim.attempt, result)
        with refused(Fenced, when=fenced):
            factories.record(claim, result)

    @step(
        target=accepted,
        claim=claims,
        status=st.sampled_from(("succeeded", "failed")),
        path=st.none() | _paths,
        repaired=st.booleans(),
    )
    def finish(self, claim: Claim, status: str, path: str | None, repaired: bool) -> Any:
        each = self.expected(claim.id)
        if each.cancelling:
            self.finish_one(claim, "cancelled", reason="cancelled")
            return multiple()
        # The last result belongs to a layer that this attempt has run, never to one that had passed.
        fresh = path is not None and not (path in each.layers and each.layers[path][1].passed)
        last = self._result(claim, path, passed=status == "succeeded") if fresh else None
        self.finish_one(claim, status, last=last, output={"of": claim.attempt})
        self.finish_one(claim, "failed")
        found = self._repair(claim.id, each) if repaired else None
        return multiple() if found is None else found

    @step(target=crew, claim=claims, how=st.sampled_from(("hand over", "release", "park", "park")))
    def give_away(self, claim: Claim, how: str) -> Any:
        """Release an execution, park it, or hand it over to a process of its own."""
        if how == "hand over":
            return self._hand_over(claim)
        if how == "park":
            self._park(claim)
        else:
            self._release(claim.id, claim.attempt)
        return multiple()

    def _park(self, claim: Claim) -> None:
        each = self.expected(claim.id)
        owned = each.owned_by(claim.attempt)
        assert factories.park(claim) == owned
        if owned:
            each.park()
            if claim.capped:
                self.freed(each.organization)

    def _hand_over(self, claim: Claim) -> Any:
        each = self.expected(claim.id)
        owned, worker = each.owned_by(claim.attempt), self.new_worker()
        with db.transaction() as connection:
            assert executions.hand_over(connection, claim, worker) == owned
            taken = executions.handed_over(connection, worker)
        assert (taken.attempt if taken else None) == (claim.attempt if owned else None)
        if owned:
            each.worker = worker
        return worker

    def _release(self, name: int, attempt: int) -> None:
        each = self.expected(name)
        owned = each.owned_by(attempt)
        with db.transaction() as connection:
            assert executions.release(connection, name, attempt, keep_seconds=KEEP_SECONDS) == owned
        if owned:
            each.give_back()

    def _renew(self, worker: Any) -> None:
        with db.autocommit() as connection:
            renewed = workers.renew(connection, worker, lease_seconds=LEASE_SECONDS)
            owned = workers.owned(connection, worker)
        assert renewed == (worker in self.model.workers)
        assert owned == self.model.owned(worker)
        if renewed:
            self.model.workers[worker] = True
        # Who has renewed its lease is not taken for dead.
        self.rescue()

    def _end_lease(self, worker: Any) -> None:
        factories.change("UPDATE workers SET lease_until = now() - interval '1 second' WHERE id = :id", id=worker)
        if worker in self.model.workers:
            self.model.workers[worker] = False

    def _drain(self, worker: Any) -> None:
        with db.transaction() as connection:
            for name, (attempt, _) in workers.owned(connection, worker).items():
                assert executions.release(connection, name, attempt, keep_seconds=KEEP_SECONDS)
                self.model.executions[name].give_back()
            workers.leave(connection, worker)
        self.model.workers.pop(worker, None)

    def _result(self, claim: Claim, path: str, *, passed: bool) -> Result:
        known = self.expected(claim.id).layers.get(path)
        if known and known[0] == claim.attempt and known[1].passed:
            # Who does not know whether its commit went through writes the same once more.
            return known[1]
        usage = Usage(claim.attempt, 10, 10 + claim.attempt)
        if not passed:
            return factories.result(path, passed=False, usage=usage)
        said = {"channel": "one", "user": "Who?", "assistant": "You."} if claim.channel else None
        return factories.result(path, usage=usage, output=claim.attempt, said=said)
