"""What time brings about, and the sweeps that see to it."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from shared import db, executions
from tests import factories
from tests.shared.protocol.machine import KEEP_SECONDS, Machine
from tests.shared.protocol.steps import accepted, step


class Clock(Machine):
    """Rules that move one execution's times into the past, and the sweeps, which see to it."""

    @step(name=accepted)
    def let_its_time_pass(self, name: int) -> None:
        each = self.expected(name)
        if each.blocked_by in ("schedule", "pacing") and not each.due:
            self._pass("not_before" if each.blocked_by == "schedule" else "parked_until", name)
            each.due = True
        elif not each.ended:
            self._pass("deadline_at", name)
            each.overdue = True
        elif name in self.model.executions and not each.expired:
            self._pass("expires_at", name)
            each.expired = True

    @step(duty=st.sampled_from(("rescue", "rescue", "promote", "promote", "end_overdue", "measure_pace")))
    def sweep(self, duty: str) -> None:
        duties = {
            "rescue": self.rescue,
            "promote": self.promote,
            "end_overdue": self._end_overdue,
            "measure_pace": self._measure_pace,
        }
        duties[duty]()

    @precondition(lambda machine: any(each.expired for each in machine.model.executions.values()))
    @step(buries=st.booleans())
    def clean(self, buries: bool) -> None:
        with db.transaction() as connection:
            assert executions.erase(connection) == self.model.erase()
        if buries:
            with db.transaction() as connection:
                buried = executions.bury(connection, tombstone_days=0)
            gone = self.model.bury()
            assert buried == len(gone)
            self.gone.update(gone)

    def _end_overdue(self) -> None:
        with db.transaction() as connection:
            ended = executions.end_overdue(connection, keep_seconds=KEEP_SECONDS)
        assert sum(ended.values()) == self.model.end_overdue()

    def _measure_pace(self) -> None:
        with db.transaction() as connection:
            executions.measure_pace(connection)

    def _pass(self, column: str, name: int) -> None:
        factories.change(f"UPDATE executions SET {column} = now() - interval '1 minute' WHERE id = :id", id=name)
