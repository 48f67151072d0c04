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
    forgets,
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


def accept_and_accept_on_a_thread(stage):
    return stage.talks(), stage.talks()


def accept_and_accept_on_two_channels(stage):
    return stage.talks(channel="one"), stage.talks(channel="other")


def accept_and_accept_on_a_thread_with_one_key(stage):
    once = Once("key", b"fingerprint")
    return stage.talks(once=once), stage.talks(once=once)


def accept_and_finish_on_a_thread(stage):
    return ends(stage.speaking()), stage.talks()


def accept_and_finish_on_a_thread_under_a_cap(stage):
    return ends(stage.speaking(capped=True)), stage.talks()


def accept_and_cancel_on_a_thread(stage):
    return stage.cancels(stage.talking()), stage.talks()


def accept_and_end_overdue_on_a_thread(stage):
    stage.talking()
    factories.change("UPDATE executions SET deadline_at = now()")
    return ends_overdue, stage.talks()


def accept_and_promote_on_a_thread(stage):
    stage.scheduled(thread=stage.thread)
    return stage.talks(), promotes


def accept_and_promote_of_those_left_over_on_a_thread(stage):
    stage.left_over()
    return stage.talks(), promotes


def accept_and_forget_of_a_thread(stage):
    stage.idle()
    return stage.talks(), forgets


def finish_and_promote_on_a_thread(stage):
    claim = stage.speaking()
    stage.talking(2)
    return ends(claim), promotes


def finish_and_promote_of_a_scheduled_one_on_a_thread(stage):
    claim = stage.speaking()
    stage.scheduled(thread=stage.thread)
    return ends(claim), promotes


def finish_and_cancel_of_the_next_on_a_thread(stage):
    claim = stage.speaking()
    stage.talking()
    return ends(claim), stage.cancels(stage.talking())


def finish_and_finish_on_two_channels(stage):
    one, other = stage.speaking("one"), stage.speaking("other")
    stage.talking(channel="one")
    return ends(one), ends(other)


def finish_and_claim_on_two_channels(stage):
    claim = stage.speaking("one")
    stage.talking(channel="other")
    return ends(claim), stage.claims(stage.other)


def finish_and_claim_of_the_next_on_a_thread(stage):
    claim = stage.speaking()
    stage.talking()
    return ends(claim), stage.claims(stage.other)


def promote_and_promote_on_a_thread(stage):
    stage.left_over()
    return promotes, promotes


def promote_and_cancel_of_the_next_on_a_thread(stage):
    return promotes, stage.cancels(stage.left_over())


def cancel_and_cancel_on_a_thread(stage):
    first, second = stage.talking(), stage.talking()
    stage.talking()
    return stage.cancels(first), stage.cancels(second)


#: Ends that let the next go at once: they and whoever is accepted meanwhile see each other.
AT_ONCE = [accept_and_finish_on_a_thread, accept_and_cancel_on_a_thread, finish_and_cancel_of_the_next_on_a_thread]
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


@pytest.mark.parametrize("pair", AT_ONCE)
def test_in_every_order_nobody_is_left_to_wait_on_a_thread_that_is_free(stage, pair):
    def prepared():
        stage.clear()
        return pair(stage)

    for order, _ in every_order(prepared):
        rows = factories.query("SELECT coalesce(blocked_by, status) FROM executions WHERE ended_at IS NULL ORDER BY id")
        assert [each for (each,) in rows][:1] in ([], ["queued"]), order
