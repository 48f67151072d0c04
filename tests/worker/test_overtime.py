import threading
import time

import pytest

from shared import db, kinds, outside
from shared.plan import Answer
from tests import factories
from tests.factories import prompt_layer, source
from worker import overtime

GRACE_SECONDS = 0.3
HANG = {"kind": "hang", "timeout_seconds": 0.1}
#: Seconds of work in plain Python: a list of a quarter of a million items, gone through again and again.
LONG = " | ".join(["[@, @][]"] * 18 + ["map(&@, @)"] * 40 + ["length(@)"])


class Hang:
    """A layer kind that hangs until it is let go, on threads whose name begins so, and then answers."""

    KIND = "hang"
    Settings = kinds.LayerSettings

    def __init__(self):
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.where = ""
        self.then = lambda tools: Answer("late")

    def run(self, settings, scope, tools):
        if not threading.current_thread().name.startswith(self.where):
            assert self.begun.wait(10)
            return Answer("quick")
        self.begun.set()
        assert self.let_go.wait(30)
        return self.then(tools)


@pytest.fixture
def hang(monkeypatch):
    """The kind `hang`, let go at the end of the test."""
    kind = Hang()
    monkeypatch.setattr(overtime, "GRACE_SECONDS", GRACE_SECONDS)
    monkeypatch.setitem(kinds.kinds(), "hang", kind)
    yield kind
    kind.let_go.set()


@pytest.fixture
def ended(organization, eventually):
    """Wait for the end of an execution and return its report."""

    def ended(accepted, seconds=GRACE_SECONDS + 2):
        def report():
            return factories.report(organization, accepted)

        eventually(lambda: report().status not in ("queued", "running"), seconds=seconds)
        return report()

    return ended


def test_a_layer_that_hangs_fails_its_execution_and_what_had_passed_stays(
    organization, publish, worker, working, hang, ended
):
    publish(source({"kind": "text", "value": "kept"}, HANG))
    accepted = factories.accept(organization)
    work = working(worker)

    report = ended(accepted)

    assert (work.done(), report.status, report.reason) == (False, "failed", "layer_timeout")
    assert [(each.state, each.output) for each in report.properties[0].layers] == [("passed", "kept"), ("failed", None)]
    hang.let_go.set()


def test_what_a_hung_layer_brings_later_is_ignored(organization, publish, worker, working, hang, ended):
    publish(source(HANG, prompt_layer()))
    accepted = factories.accept(organization)
    work = working(worker)
    ended(accepted)
    before = factories.query("SELECT * FROM layer_results")

    hang.let_go.set()
    work.result(5)

    assert factories.query("SELECT * FROM layer_results") == before
    assert (ended(accepted).reason, worker.hangs) == ("layer_timeout", False)


def test_a_hung_layer_that_wakes_up_asks_no_model(organization, publish, worker, working, model, hang, ended):
    hang.then = lambda tools: tools.ask(outside.Question([{"role": "user", "content": "late"}]))
    publish(source(HANG))
    accepted = factories.accept(organization)
    work = working(worker)
    ended(accepted)

    hang.let_go.set()
    work.result(5)

    assert model.totals()["count"] == 0


def test_calls_beside_a_hung_layer_are_closed(organization, publish, worker, working, model, hang, ended):
    asks = prompt_layer(model="demo:mode=silent")
    publish({"properties": [{"name": "a", "layers": [HANG]}, {"name": "b", "layers": [asks]}]})
    accepted = factories.accept(organization)
    work = working(worker)

    assert ended(accepted).reason == "layer_timeout"

    model.wait_for(lambda totals: totals["count"] == 1 and totals["in_flight"] == 0, seconds=2)
    hang.let_go.set()
    work.result(5)


def test_the_slot_does_not_wait_for_a_thread_beside_it(organization, publish, worker, working, hang, ended):
    hang.where = "fan-out"
    publish({"properties": [{"name": name, "layers": [HANG]} for name in ("a", "b")]})
    accepted = factories.accept(organization)

    assert working(worker).result(5) is False

    assert (ended(accepted).reason, worker.hangs, worker.running.all()) == ("layer_timeout", True, {})


def test_a_hung_execution_that_was_to_be_cancelled_is_cancelled(organization, publish, worker, working, hang, ended):
    publish(source(HANG))
    accepted = factories.accept(organization)
    work = working(worker)
    assert hang.begun.wait(5)

    factories.cancel(organization, accepted.uuid)

    assert ended(accepted).status == "cancelled"
    hang.let_go.set()
    work.result(5)


def test_a_hung_layer_whose_claim_is_lost_ends_nothing(organization, publish, worker, working, hang, eventually):
    publish(source(HANG))
    accepted = factories.accept(organization)
    work = working(worker)
    assert hang.begun.wait(5)

    factories.change("UPDATE executions SET attempt = attempt + 1, worker = :other", other=factories.enter_worker())
    eventually(lambda: worker.hangs)
    hang.let_go.set()
    work.result(5)

    row = factories.row(accepted.id)
    assert (row.status, row.attempt, factories.query("SELECT 1 FROM layer_results")) == ("running", 2, [])


def test_the_deadline_of_an_execution_stands_while_a_layer_hangs(organization, publish, worker, working, hang, ended):
    publish(source({**HANG, "timeout_seconds": 60}, deadline_seconds=1))
    accepted = factories.accept(organization)
    work = working(worker)

    assert ended(accepted, seconds=1 + 3).reason == "deadline"
    hang.let_go.set()
    work.result(5)


def test_the_time_of_an_extract_layer_bounds_its_arithmetic(organization, publish, worker, working, hang, ended):
    publish(source({"kind": "text", "value": "x"}, {"kind": "extract", "expression": LONG, "timeout_seconds": 0.1}))
    accepted = factories.accept(organization)
    work = working(worker)

    report = ended(accepted)

    assert (work.done(), report.reason) == (False, "layer_timeout")
    work.result(30)
    assert [each.state for each in ended(accepted).properties[0].layers] == ["passed", "failed"]


def test_a_worker_closes_without_waiting_for_what_hangs(organization, publish, worker, working, hang, ended, settings):
    publish(source(HANG))
    accepted = factories.accept(organization)
    work = working(worker)
    ended(accepted)

    started = time.monotonic()
    worker.close()

    assert (work.done(), time.monotonic() - started < 4.0) == (False, True)
    db.connect(settings.database_url)
    assert factories.query("SELECT 1 FROM workers") == []
