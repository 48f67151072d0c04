from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import uuid4

import pytest

from shared import acceptance, checkpoints, db, executions, organizations, pipelines, workers
from shared.definition import read
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.order import Order
from shared.plan import Usage
from tests import factories
from tests.factories import source


@pytest.fixture
def published(publish):
    return publish(source())


@pytest.fixture
def other_organization(database):
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "pipeline", read(source()))
        return other


def drained(queues=factories.QUEUES):
    worker = factories.enter_worker()
    found = []
    while (claim := factories.claim(worker, queues)) is not None:
        found.append(claim.id)
    return found


def test_accepted_recorded_and_finished_an_execution_has_succeeded(organization, published):
    accepted = factories.accept(organization)
    claim = factories.claim()
    factories.record(claim, factories.result())

    ended = factories.finish(claim, output={"answer": "done"})

    assert ended
    assert factories.row(accepted.id).status == "succeeded"


def test_a_claim_counts_the_attempt_and_hands_over_the_inputs(organization, publish):
    publish(source(inputs=[{"name": "film"}, {"name": "count", "type": "integer", "default": 3}]))
    factories.accept(organization, inputs=(("film", "Avatar"),))

    claim = factories.claim()

    assert (claim.attempt, claim.inputs) == (1, {"film": "Avatar", "count": 3})


def test_nothing_is_claimed_where_nothing_is_queued(organization):
    assert factories.claim() is None


def test_nothing_is_claimed_from_a_queue_that_the_worker_does_not_serve(organization, published):
    factories.accept(organization, queue="low")

    assert factories.claim(queues=("onsite", "normal")) is None


def test_every_fault_of_the_inputs_is_told_beside_those_of_the_wire(organization, publish):
    publish(source(inputs=[{"name": "film", "required": True}]))
    order = Order("pipeline", inputs=(("book", "x"),))

    with pytest.raises(Invalid) as caught, db.transaction() as connection:
        acceptance.accept(connection, organization, order, uuid=uuid4(), faults=[Fault("tags", "are wrong")])

    assert [fault.field for fault in caught.value.faults] == ["tags", "inputs.film", "inputs.book"]


def test_an_order_with_faults_leaves_no_row(organization, publish):
    publish(source(inputs=[{"name": "film", "required": True}]))

    with pytest.raises(Invalid):
        factories.accept(organization)

    assert factories.query("SELECT id FROM executions") == []


def test_another_organization_s_pipeline_cannot_be_executed(other_organization, published):
    with pytest.raises(NotFound):
        factories.accept(other_organization, pipeline=str(published.pipeline_uuid))


def test_an_organization_that_floods_waits_behind_itself(organization, other_organization, published):
    flood = [factories.accept(organization).id for _ in range(5)]
    single = factories.accept(other_organization).id

    assert drained().index(single) <= 1
    assert drained() == []
    assert flood == sorted(flood)


def test_executions_of_one_organization_are_claimed_in_the_order_of_their_acceptance(organization, published):
    accepted = [factories.accept(organization).id for _ in range(5)]

    assert drained() == accepted


def test_onsite_comes_before_normal_and_normal_before_low(organization, published):
    accepted = {queue: factories.accept(organization, queue=queue).id for queue in ("low", "normal", "onsite")}

    assert drained() == [accepted["onsite"], accepted["normal"], accepted["low"]]


def test_a_normal_execution_is_not_starved_by_a_flood_of_onsite_ones(organization, other_organization, published):
    normal = factories.accept(other_organization).id
    for _ in range(70):
        factories.accept(organization, queue="onsite")

    assert drained().index(normal) < 65


def test_a_flood_on_the_schedule_waits_behind_itself_too(organization, other_organization, published):
    later = datetime.now(UTC) + timedelta(hours=1)
    for _ in range(5):
        factories.accept(organization, not_before=later)
    factories.change("UPDATE executions SET not_before = now() - interval '1 second'")
    with db.transaction() as connection:
        executions.promote(connection)

    single = factories.accept(other_organization).id

    assert drained().index(single) <= 1


def test_eight_claimers_at_once_take_every_execution_once(organization, published):
    accepted = {factories.accept(organization).id for _ in range(60)}
    barrier = Barrier(8)

    def take(_):
        barrier.wait()
        return drained()

    with ThreadPoolExecutor(8) as pool:
        taken = [each for found in pool.map(take, range(8)) for each in found]

    assert sorted(taken) == sorted(accepted)


def test_a_released_execution_is_queued_again_without_a_death(organization, published):
    claim = factories.running(organization)

    assert factories.release(claim)

    row = factories.row(claim.id)
    assert (row.status, row.worker, row.deaths, row.attempt) == ("queued", None, 0, 1)


def test_a_released_execution_keeps_its_rank(organization, published):
    claim = factories.running(organization)
    before = factories.row(claim.id).rank

    factories.release(claim)

    assert factories.row(claim.id).rank == before


def test_the_last_result_is_written_with_the_end(organization, published):
    claim = factories.running(organization)
    last = factories.result(usage=Usage(1, 2, 3))

    with db.autocommit() as connection:
        assert executions.finish(connection, claim, "succeeded", keep_seconds=60, output="said", last=last)
    report = factories.report(organization, claim)
    assert (report.status, report.properties[0].state, report.usage) == ("succeeded", "passed", Usage(1, 2, 3))


def test_the_last_result_is_not_written_where_the_claim_is_lost(organization, published):
    claim = factories.running(organization)
    factories.release(claim)

    with db.autocommit() as connection:
        assert not executions.finish(
            connection, claim, "succeeded", keep_seconds=60, output="said", last=factories.result()
        )
        assert checkpoints.past(connection, claim.id).done == {}


def test_a_released_execution_that_was_to_be_cancelled_is_cancelled(organization, published):
    claim = factories.running(organization)
    factories.cancel(organization, claim.uuid)

    assert factories.release(claim)

    row = factories.row(claim.id)
    assert (row.status, row.reason, row.ended_at is not None) == ("cancelled", "cancelled", True)


@pytest.fixture
def lost(organization, published):
    """A claim whose execution another attempt runs now."""
    claim = factories.running(organization)
    factories.release(claim)
    assert factories.claim().attempt == 2
    return claim


def test_an_old_attempt_cannot_finish(lost):
    assert factories.finish(lost, output="mine") is False
    assert factories.row(lost.id).status == "running"


def test_an_old_attempt_cannot_release(lost):
    assert factories.release(lost) is False
    assert factories.row(lost.id).status == "running"


def test_a_finish_that_is_repeated_changes_nothing(organization, published):
    claim = factories.running(organization)
    factories.finish(claim, output="first")

    assert factories.finish(claim, "failed", reason="internal") is False
    assert factories.row(claim.id).status == "succeeded"


def test_a_finish_sums_up_what_the_layers_used(organization, published):
    claim = factories.running(organization)
    usage = Usage(3, 4, 7)
    factories.record(claim, factories.result("answer/0", usage=usage))
    factories.record(claim, factories.result("answer/1", passed=False, usage=usage))

    factories.finish(claim, "failed", reason="provider_error")

    assert factories.row(claim.id).usage == {"prompt_tokens": 6, "completion_tokens": 8, "total_tokens": 14}


def test_a_null_document_is_json_null_and_no_document_is_sql_null(organization, published):
    succeeded, failed = factories.running(organization), factories.running(organization)

    factories.finish(succeeded, output=None)
    factories.finish(failed, "failed", reason="internal")

    rows = factories.query("SELECT output IS NULL AS none FROM contents ORDER BY execution_id")
    assert [row.none for row in rows] == [False, True]


def test_a_waiting_execution_is_cancelled_at_once(organization, published):
    accepted = factories.accept(organization, not_before=datetime.now(UTC) + timedelta(hours=1))

    assert factories.cancel(organization, accepted.uuid) == "cancelled"
    assert factories.row(accepted.id).status == "cancelled"


def test_a_queued_execution_is_cancelled_at_once_and_never_claimed(organization, published):
    accepted = factories.accept(organization)

    assert factories.cancel(organization, accepted.uuid) == "cancelled"
    assert factories.claim() is None


def test_a_running_execution_is_asked_to_stop(organization, published):
    claim = factories.running(organization)

    assert factories.cancel(organization, claim.uuid) == "cancelling"

    row = factories.row(claim.id)
    assert (row.status, row.cancel_requested_at is not None) == ("running", True)


def test_asking_twice_keeps_the_time_of_the_first(organization, published):
    claim = factories.running(organization)
    factories.cancel(organization, claim.uuid)
    first = factories.row(claim.id).cancel_requested_at

    factories.cancel(organization, claim.uuid)

    assert factories.row(claim.id).cancel_requested_at == first


def test_cancelling_what_is_cancelled_is_harmless(organization, published):
    accepted = factories.accept(organization)
    factories.cancel(organization, accepted.uuid)

    assert factories.cancel(organization, accepted.uuid) == "cancelled"


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_what_has_ended_another_way_cannot_be_cancelled(organization, published, status):
    claim = factories.running(organization)
    factories.finish(claim, status)

    with pytest.raises(Conflict):
        factories.cancel(organization, claim.uuid)


def test_another_organization_cannot_cancel(organization, other_organization, published):
    accepted = factories.accept(organization)

    with pytest.raises(NotFound):
        factories.cancel(other_organization, accepted.uuid)


def test_a_scheduled_execution_cannot_be_claimed_before_its_time(organization, published):
    factories.accept(organization, not_before=datetime.now(UTC) + timedelta(hours=1))

    assert factories.claim() is None


def test_the_deadline_of_a_scheduled_execution_counts_from_its_start(organization, published):
    later = datetime.now(UTC) + timedelta(hours=1)

    accepted = factories.accept(organization, not_before=later, deadline_seconds=10)

    assert factories.row(accepted.id).deadline_at == later + timedelta(seconds=10)


def test_a_time_that_is_past_is_queued_at_once(organization, published):
    accepted = factories.accept(organization, not_before=datetime.now(UTC) - timedelta(hours=1))

    assert factories.row(accepted.id).status == "queued"


def test_nul_and_half_surrogates_are_stored_replaced(organization, published):
    claim = factories.running(organization)

    factories.finish(claim, output={"answer": "a\x00b\ud800c"})

    assert factories.query("SELECT output FROM contents")[0].output == {"answer": "a\ufffdb\ufffdc"}


def test_what_a_process_of_its_own_has_not_begun_costs_no_death(organization, published):
    factories.accept(organization)
    claim, apart = factories.claim(), uuid4()
    with db.transaction() as connection:
        workers.enter(connection, apart, host="here", pid=workers.NOT_STARTED, queues=(), slots=0, lease_seconds=0.0)
        executions.hand_over(connection, claim, apart)

    assert factories.rescue(max_deaths=1) == {"queued": 1}
    assert factories.row(claim.id).deaths == 0
