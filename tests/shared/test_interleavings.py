"""Two at once, their statements in every order: what comes of it is what came of one after the other."""

import pytest

from shared.idempotency import Once
from tests import factories
from tests.factories import source
from tests.shared.protocol.interleaving import every_order, outcome
from tests.shared.protocol.stage import (
    Stage,
    ends,
    ends_beside,
    ends_overdue,
    erases,
    fails,
    hands_over,
    parks,
    promotes,
    recalls,
    records,
    releases,
    requeues,
    rescues,
)


@pytest.fixture
def stage(organization, publish):
    publish(source())
    return Stage(organization)


def claim_and_claim(stage):
    stage.queued()
    return stage.claims(stage.one), stage.claims(stage.other)


def claim_and_claim_of_two(stage):
    stage.queued(2)
    return stage.claims(stage.one), stage.claims(stage.other)


def claim_and_claim_under_a_cap(stage):
    one, other = stage.queued(), stage.queued()
    stage.limit(1)
    return stage.claims_capped(one.id, stage.one), stage.claims_capped(other.id, stage.other)


def claim_and_claim_of_one_under_a_cap(stage):
    found = stage.queued()
    stage.limit(1)
    return stage.claims_capped(found.id, stage.one), stage.claims_capped(found.id, stage.other)


def claim_and_cancel(stage):
    return stage.cancels(stage.queued()), stage.claims(stage.one)


def claim_and_cancel_under_a_cap(stage):
    found = stage.queued()
    stage.limit(1)
    return stage.claims_capped(found.id, stage.one), stage.cancels(found)


def finish_and_cancel(stage):
    claim = stage.running()
    return ends(claim), stage.cancels(claim)


def finish_and_finish(stage):
    claim = stage.running()
    return ends(claim), ends(claim, "failed")


def finish_and_rescue(stage):
    return ends(stage.running(worker=stage.dead)), rescues


def finish_and_requeue(stage):
    claim = stage.running()
    return ends(claim), requeues(claim)


def finish_and_end_overdue(stage):
    return ends(stage.overdue()), ends_overdue


def finish_and_accept_under_a_cap(stage):
    return ends(stage.running(capped=True)), stage.accepts()


def finish_and_cancel_of_the_next_under_a_cap(stage):
    claim = stage.running(capped=True)
    return ends(claim), stage.cancels(stage.queued())


def finish_and_promote_under_a_cap(stage):
    claim = stage.running(capped=True)
    stage.queued()
    return ends(claim), promotes


def finish_and_claim_under_a_cap(stage):
    claim = stage.running(capped=True)
    stage.limit(None)
    following = stage.queued()
    stage.limit(1)
    return ends(claim), stage.claims_capped(following.id, stage.other)


def record_and_rescue(stage):
    return records(stage.running(worker=stage.dead)), rescues


def record_and_takeover(stage):
    claim = stage.running()
    return records(claim), stage.takes_over(claim)


def record_and_an_end_beside_it(stage):
    claim = stage.running()
    return records(claim), ends_beside(claim)


def record_and_release_of_a_cancelled_one(stage):
    claim = stage.running()
    stage.cancels(claim)()
    return records(claim), releases(claim)


def record_and_fail_by_an_operator(stage):
    claim = stage.running()
    return records(claim), fails(claim)


def record_and_end_overdue(stage):
    return records(stage.overdue()), ends_overdue


def record_and_record(stage):
    claim = stage.running()
    return records(claim), records(claim)


def release_and_cancel(stage):
    claim = stage.running()
    return releases(claim), stage.cancels(claim)


def release_and_rescue(stage):
    return releases(stage.running(worker=stage.dead)), rescues


def park_and_cancel(stage):
    claim = stage.running()
    return parks(claim), stage.cancels(claim)


def park_and_rescue(stage):
    return parks(stage.running(worker=stage.dead)), rescues


def park_and_end_overdue(stage):
    return parks(stage.overdue()), ends_overdue


def park_and_record(stage):
    claim = stage.running()
    return parks(claim), records(claim)


def park_and_finish(stage):
    claim = stage.running()
    return parks(claim), ends(claim)


def park_and_promote_under_a_cap(stage):
    claim = stage.running(capped=True)
    stage.queued()
    return parks(claim), promotes


def park_and_claim_under_a_cap(stage):
    claim = stage.running(capped=True)
    stage.limit(None)
    following = stage.queued()
    stage.limit(1)
    return parks(claim), stage.claims_capped(following.id, stage.other)


def park_and_accept_under_a_cap(stage):
    return parks(stage.running(capped=True)), stage.accepts()


def promote_and_cancel_of_a_parked_one(stage):
    return promotes, stage.cancels(stage.parked(due=True))


def promote_and_promote_of_a_parked_one(stage):
    stage.parked(due=True)
    return promotes, promotes


def promote_and_end_overdue_of_a_parked_one(stage):
    stage.parked(due=True)
    factories.change("UPDATE executions SET deadline_at = now()")
    return promotes, ends_overdue


def recall_and_cancel(stage):
    claim = stage.parked()
    return recalls(claim), stage.cancels(claim)


def recall_and_promote(stage):
    return recalls(stage.parked(due=True)), promotes


def hand_over_and_rescue(stage):
    return hands_over(stage.running(worker=stage.dead), stage.other), rescues


def rescue_and_rescue(stage):
    stage.running(worker=stage.dead)
    return rescues, rescues


def rescue_and_cancel(stage):
    return stage.cancels(stage.running(worker=stage.dead)), rescues


def promote_and_cancel(stage):
    return promotes, stage.cancels(stage.scheduled())


def promote_and_cancel_under_a_cap(stage):
    stage.limit(0)
    found = stage.queued()
    stage.limit(1)
    return promotes, stage.cancels(found)


def promote_and_promote_under_a_cap(stage):
    stage.limit(0)
    stage.queued(2)
    stage.limit(1)
    return promotes, promotes


def accept_and_accept_with_one_key(stage):
    once = Once("key", b"fingerprint")
    return stage.accepts(once=once), stage.accepts(once=once)


def accept_and_accept_under_a_cap(stage):
    stage.limit(1)
    return stage.accepts(), stage.accepts()


def repair_and_erase(stage):
    return stage.repairs(stage.expired()), erases


PAIRS = [pytest.param(found, id=name) for name, found in globals().copy().items() if "_and_" in name]


@pytest.mark.parametrize("pair", PAIRS)
def test_in_every_order_two_at_once_are_as_one_after_the_other(stage, pair):
    def prepared():
        stage.clear()
        return pair(stage)

    def came_of(outcomes):
        # What one of them had to leave is done by the next sweep, the next worker.
        for sweep in (rescues, ends_overdue, promotes, erases):
            sweep()
        while stage.claims(stage.other)() is not None:
            pass
        return outcomes, stage.state()

    serial = [came_of([outcome(call) for call in prepared()])]
    serial.append(came_of([outcome(call) for call in reversed(prepared())][::-1]))
    for order, outcomes in every_order(prepared):
        assert came_of(outcomes) in serial, order
