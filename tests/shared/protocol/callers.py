"""What callers and operators do: start, cancel, repair, set a cap, fail and requeue."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple

from shared import acceptance, db, executions, idempotency, repeats, reports
from shared.errors import Conflict, Gone, KeyReused, NotFound, Repeated
from shared.idempotency import Once
from shared.order import QUEUES, Order
from shared.plan import Result
from shared.report import Report
from tests import factories
from tests.shared.protocol.machine import KEEP_SECONDS, Machine
from tests.shared.protocol.model import Expected
from tests.shared.protocol.steps import accepted, refused, step

#: The layers of the pipeline, by property.
LAYERS = {"first": ("first/0", "first/1"), "second": ("second/0",)}
_STARTS = {"at once": None, "in the past": timedelta(days=-1), "later": timedelta(days=1)}
#: Every organization has a thread of this name.
_THREAD = UUID("0b3c6e5f-9f0a-4d2b-8f4e-2a9c1d7e6b10")
_channels = st.sampled_from((None, None, "one", "one", "other"))
_tenants = st.sampled_from((0, 1))


class Callers(Machine):
    """Rules of everybody who asks for something."""

    @initialize(target=accepted)
    def have_work(self) -> Any:
        orders = [(tenant, Order("pipeline")) for tenant in (0, 0, 0, 1)]
        return multiple(*[self._accepted(self._accept(tenant, order)) for tenant, order in orders])

    @step(
        target=accepted,
        tenant=_tenants,
        queue=st.sampled_from(QUEUES),
        start=st.sampled_from(("at once", *_STARTS)),
        channel=_channels,
    )
    def submit(self, tenant: int, queue: str, start: str, channel: str | None) -> int:
        moment = _STARTS[start]
        order = Order(
            "pipeline",
            queue=queue,
            not_before=datetime.now(UTC) + moment if moment else None,
            thread=_THREAD if channel else None,
            channel=channel,
        )
        return self._accepted(self._accept(tenant, order), scheduled=start == "later")

    @step(
        target=accepted,
        tenant=_tenants,
        key=st.sampled_from(("one", "two")),
        fingerprint=st.sampled_from((b"this", b"that")),
        looks=st.booleans(),
    )
    def submit_with_a_key(self, tenant: int, key: str, fingerprint: bytes, looks: bool) -> Any:
        known = self.model.keys.get((self.tenants[tenant], key))
        once = Once(key, fingerprint)
        if looks:
            with refused(KeyReused, when=known is not None and known[0] != fingerprint), db.autocommit() as connection:
                found = idempotency.find(connection, self.tenants[tenant], once)
                assert found == (self.model.executions[known[1]].uuid if known else None)
        with refused(Repeated, when=known is not None):
            report = self._accept(tenant, Order("pipeline"), once)
            self.model.keys[self.tenants[tenant], key] = (fingerprint, report.id)
            return self._accepted(report)
        return multiple()

    @step(target=accepted, name=accepted, wish=st.sampled_from(("cancel", "cancel", "repair", "requeue", "fail")))
    def ask(self, name: int, wish: str) -> Any:
        asked = {"cancel": self._cancel, "repair": self._repair, "requeue": self._requeue, "fail": self._fail}[wish]
        found = asked(name, self.expected(name))
        return multiple() if found is None else found

    @step(tenant=_tenants, cap=st.sampled_from((None, None, 1, 2, 0)))
    def set_a_cap(self, tenant: int, cap: int | None) -> None:
        self.limit(self.tenants[tenant], cap)

    def _cancel(self, name: int, each: Expected) -> None:
        with refused(NotFound, when=True):
            factories.cancel(self.stranger_to(each), each.uuid)
        if name not in self.model.executions:
            with refused(NotFound, when=True):
                factories.cancel(each.organization, each.uuid)
            return
        with refused(Conflict, when=each.status in ("succeeded", "failed")):
            said = factories.cancel(each.organization, each.uuid)
            assert said == ("cancelling" if each.status == "running" else "cancelled")
            if each.status == "running":
                each.cancelling = True
            elif not each.ended:
                each.end("cancelled", "cancelled")
                self.let_go_behind(each)

    def _repair(self, name: int, each: Expected) -> int | None:
        version = self.versions[each.organization]
        kept = [path for paths in LAYERS.values() for path in each.passed_before(paths)]
        complete = each.status == "succeeded" and len(kept) == sum(map(len, LAYERS.values()))
        if name not in self.model.executions or each.expired:
            with refused(NotFound if name not in self.model.executions else Gone, when=True):
                self._report(each, name)
            return None
        with refused(Conflict, when=not each.ended or complete):
            order = repeats.repair(self._report(each, name), version, version, deadline_seconds=3600)
            layers = {path: (0, _kept(each.layers[path][1])) for path in kept}
            return self._accepted(self._accept(self.tenants.index(each.organization), order), layers=layers)
        return None

    def _requeue(self, name: int, each: Expected) -> None:
        with db.transaction() as connection:
            done = executions.requeue(connection, name)
        assert done == (each.status == "running" and not each.cancelling)
        if done:
            each.queue_again()

    def _fail(self, name: int, each: Expected) -> None:
        with db.transaction() as connection:
            done = executions.fail(connection, name, error="because", keep_seconds=KEEP_SECONDS)
        assert done == (not each.ended)
        if done:
            each.end("failed", "operator")
            self.let_go_behind(each)

    def _accept(self, tenant: int, order: Order, once: Once | None = None) -> Report:
        with db.transaction() as connection:
            return acceptance.accept(connection, self.tenants[tenant], order, uuid=uuid4(), once=once)

    def _accepted(
        self, report: Report, *, scheduled: bool = False, layers: dict[str, tuple[int, Result]] | None = None
    ) -> int:
        [organization] = [
            each
            for each, version in self.versions.items()
            if version.handle == report.handle and version.pipeline_uuid == report.pipeline_uuid
        ]
        new = Expected(organization, report.uuid, report.queue, "queued", layers=layers or {}, channel=report.channel)
        self.model.accept(report.id, new, scheduled=scheduled)
        assert (report.status, report.blocked_by) == (new.status, new.blocked_by)
        return report.id

    def _report(self, each: Expected, name: int) -> Report:
        with db.autocommit() as connection:
            return reports.find(connection, each.organization, name)


def _kept(result: Result) -> Result:
    """A result as a repair takes it over: it has cost nothing here."""
    return Result(result.path, passed=True, seconds=result.seconds, output=result.output, said=result.said)
