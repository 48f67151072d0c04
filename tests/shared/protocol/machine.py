"""What the rules of the protocol's state machine have in common: the model, and the check after each rule."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from shared import db, executions, reports
from shared.errors import Gone, NotFound
from shared.executions import Claim
from shared.order import QUEUES
from shared.plan import Version
from tests import factories
from tests.shared.protocol import rows
from tests.shared.protocol.model import Expected, Model
from tests.shared.protocol.steps import refused

KEEP_SECONDS = 3600.0
LEASE_SECONDS = 3600.0
MAX_DEATHS = 2
_PACE_IS_OLD = "UPDATE pace SET measured_at = now() - interval '1 hour'"


class _Every:
    """Every rule is enabled."""

    def is_enabled(self, name: str) -> bool:
        return True


class Machine(RuleBasedStateMachine):
    """Two organizations that have published one pipeline each, and nothing else."""

    def __init__(self, versions: dict[int, Version]) -> None:
        super().__init__()
        for table in ("executions", "workers", "threads"):
            factories.change(f"DELETE FROM {table}")
        factories.change("UPDATE organizations SET max_running = NULL")
        factories.change(_PACE_IS_OLD)
        self.versions = versions
        self.tenants = list(versions)
        self.model = Model()
        self.rows: dict[int, rows.Found] = {}
        self.gone: dict[int, Expected] = {}
        self.sound = True
        # Left to itself a history does without half of the rules, and few of them would have a second attempt.
        self._rules_strategy.enabled_rules_strategy = st.just(_Every())

    @invariant()
    def every_row_is_what_the_model_says(self) -> None:
        self.check()
        self.sound = True

    def check(self) -> None:
        """Compare every row with the model and with what it was at the last look."""
        before, self.rows = self.rows, rows.executions()
        assert set(self.rows) == set(self.model.executions)
        for name, found in self.rows.items():
            rows.agrees(found, self.model.executions[name])
            rows.is_sound(found)
            if name in before:
                rows.may_follow(before[name], found)
        assert rows.keys() == self.model.keys
        for organization, ceiling in self.model.ceilings().items():
            assert self.model.count(organization, "running") <= ceiling
        assert rows.messages() == +self.model.said
        going = [
            (each.organization, each.channel) for each in self.model.executions.values() if each.channel and each.active
        ]
        assert len(going) == len(set(going))
        changed = {name for name, found in self.rows.items() if before.get(name) != found}
        self._can_be_read(changed | {name for name, each in self.model.executions.items() if each.expired})

    def _can_be_read(self, names: set[int]) -> None:
        with db.autocommit() as connection:
            for name in sorted(names):
                each = self.model.executions[name]
                with refused(Gone, when=each.expired):
                    assert reports.find(connection, each.organization, name).status == each.status
                with pytest.raises(NotFound):
                    reports.find(connection, self.stranger_to(each), name)
                with pytest.raises(NotFound):
                    reports.find(connection, self.stranger_to(each), each.uuid)

    def stranger_to(self, each: Expected) -> int:
        """The other organization."""
        return next(other for other in self.tenants if other != each.organization)

    def expected(self, name: int) -> Expected:
        """What the model knows of an execution, or knew when it was buried."""
        return self.model.executions.get(name) or self.gone[name]

    def new_worker(self) -> UUID:
        """Have one more worker, with a lease."""
        worker = factories.enter_worker(lease_seconds=LEASE_SECONDS)
        self.model.workers[worker] = True
        return worker

    def claim_one(self, worker: UUID, queues: tuple[str, ...] = QUEUES) -> Claim | None:
        """Claim as a worker does, past every execution that its organization's cap holds back."""
        while True:
            found = self._picked(worker, queues)
            if not isinstance(found, int):
                return found
            each = self.model.executions[found]
            with db.transaction() as connection:
                claim = executions.claim_capped(connection, worker, found)
            assert (claim is not None) == self.model.may_run(each.organization)
            if claim is not None:
                self._taken(each, worker)
                return claim
            each.wait("cap")

    def _picked(self, worker: UUID, queues: tuple[str, ...]) -> Claim | int | None:
        queued = self.model.claimable(queues)
        ranks = {name: found.rank for name, found in rows.executions().items() if name in queued}
        with db.autocommit() as connection:
            found = executions.claim(connection, worker, queues)
        name = found.id if isinstance(found, Claim) else found
        assert (name is None) == (not queued)
        assert name is None or ranks[name] == min(ranks.values())
        if isinstance(found, Claim):
            each = self.model.executions[found.id]
            assert self.model.cap(each.organization) is None
            self._taken(each, worker)
            assert (found.attempt, found.deaths, found.uuid) == (each.attempt, each.deaths, each.uuid)
        return found

    def _taken(self, each: Expected, worker: UUID) -> None:
        each.take(worker)
        if each.channel and each.attempt == 1:
            each.heard = self.model.said[each.organization]

    def finish_one(self, claim: Claim, status: str, **ending: Any) -> bool:
        """End an execution as its worker does; what waits for its place is queued."""
        each = self.expected(claim.id)
        owned = each.owned_by(claim.attempt)
        opened = db.transaction if claim.makes_room else db.autocommit
        with opened() as connection:
            written = executions.finish(connection, claim, status, keep_seconds=KEEP_SECONDS, **ending)
        assert written == owned
        if owned:
            if last := ending.get("last"):
                each.takes(claim.attempt, last)
            each.end(status, ending.get("reason"), ending.get("output") if status == "succeeded" else None)
            if status == "succeeded":
                self.model.said[each.organization] += each.says
            self.let_go_behind(each)
            if claim.capped:
                self.freed(each.organization)
        return written

    def freed(self, organization: int) -> int:
        """Have the model queue those for whom there was room; they are chosen by their ranks, so the rows say which."""
        waiting = self.model.capped(organization)
        room = self.model.room(organization)
        after = rows.executions()
        chosen = {name for name in waiting if after[name].row["status"] == "queued"}
        assert len(chosen) == (len(waiting) if room is None else min(room, len(waiting)))
        # Who was in the queue already and was put aside comes before those who never were.
        left = {self.rows[name].ranked for name in waiting - chosen if name in self.rows}
        assert True not in left or all(self.rows[name].ranked for name in chosen)
        for name in chosen:
            self.model.executions[name].queue_again()
        return len(chosen)

    def let_go_behind(self, each: Expected) -> None:
        """Have the model let those go on that waited on the thread of an execution."""
        if each.channel:
            self.model.let_go(each.organization)

    def limit(self, organization: int, cap: int | None) -> None:
        """Set or lift the cap of an organization."""
        factories.change("UPDATE organizations SET max_running = :cap WHERE id = :id", id=organization, cap=cap)
        self.model.limit(organization, cap)

    def rescue(self) -> None:
        """Sweep for dead workers."""
        factories.rescue(max_deaths=MAX_DEATHS)
        self.model.rescue(MAX_DEATHS)

    def recall(self, name: int) -> None:
        """Have a parked execution come back early."""
        each = self.expected(name)
        parked = each.blocked_by == "pacing"
        with db.transaction() as connection:
            assert executions.recall(connection, [each.uuid]) == [each.uuid] * parked
        each.due = each.due or parked

    def promote(self) -> None:
        """Sweep for what is due, and for what has room."""
        with db.transaction() as connection:
            queued = executions.promote(connection)
        due = self.model.come_due() + sum(self.model.let_go(each) for each in self.tenants)
        assert queued == due + sum(self.freed(each) for each in self.tenants)

    def teardown(self) -> None:
        """Have every worker die and another one come, and let time pass: every execution ends."""
        if self.sound:
            self._open_every_gate()
            # A cap of one lets one run in each round at least.
            for _ in self.rows:
                self._sweep()
                self._work()
            assert all(each.ended for each in self.model.executions.values())
        super().teardown()

    def _open_every_gate(self) -> None:
        factories.change("UPDATE workers SET lease_until = now() - interval '1 second'")
        self.model.workers = dict.fromkeys(self.model.workers, False)
        for organization in self.tenants:
            if self.model.cap(organization) == 0:
                self.limit(organization, 1)
        for name, each in self.model.executions.items():
            each.due = each.blocked_by in ("schedule", "pacing")
            for column in ("not_before", "parked_until"):
                factories.change(
                    f"UPDATE executions SET {column} = now() WHERE id = :id AND status = 'waiting'", id=name
                )
        self.check()

    def _work(self) -> None:
        if all(each.ended for each in self.model.executions.values()):
            return
        worker = self.new_worker()
        while (claim := self.claim_one(worker)) is not None:
            self.check()
            self.finish_one(claim, "succeeded")
            self.check()

    def _sweep(self) -> None:
        self.rescue()
        self.promote()
        self.check()
