"""What one permit runs: everything that is left behind by a claim, and nothing that brings a permit of its own."""

from uuid import uuid4

import pytest
import redis
from celery.worker import state
from kombu import Message

from tests import factories
from tests.factories import prompt_layer, source
from worker import permits
from worker.permits import Permit


def statuses():
    return [row.status for row in factories.query("SELECT status FROM executions ORDER BY id")]


def test_a_permit_runs_all_that_was_queued(organization, publish, worker):
    publish(source(prompt_layer("one")))
    for _ in range(3):
        factories.accept(organization)

    assert worker.work() is False

    assert statuses() == ["succeeded"] * 3


def test_queues_that_wait_behind_are_run_too(organization, publish, worker):
    publish(source(prompt_layer("one")))
    for queue in ("low", "onsite", "normal"):
        factories.accept(organization, queue=queue)

    worker.work()

    assert statuses() == ["succeeded"] * 3


def test_what_comes_meanwhile_is_left_to_a_permit_of_its_own(organization, publish, worker, working, model, settings):
    publish(source(prompt_layer("one")))
    model.script([{"layer": "answer/0", "latency_ms": 1000}])
    factories.accept(organization)
    with redis.Redis.from_url(settings.redis_url) as client:
        work = working(worker)
        model.wait_for(lambda totals: totals["count"] == 1)
        client.delete("normal")

        factories.accept(organization)

        assert work.result(10) is False
        assert statuses() == ["succeeded", "queued"]
        # By its acceptance, or by a sweep meanwhile.
        assert client.llen("normal") >= 1


def test_a_permit_goes_on_with_what_an_end_lets_go(organization, publish, worker):
    publish(source(prompt_layer("one")))
    thread = uuid4()
    for _ in range(3):
        factories.accept(organization, thread=thread)

    worker.work()

    assert statuses() == ["succeeded"] * 3


@pytest.fixture
def permit():
    return Permit("strata.work", Message(headers={"id": "one"}, delivery_info={"routing_key": "normal"}))


def test_a_permit_in_use_counts_as_a_task_of_its_worker(permit):
    processed, found = state.all_total_count[0], []

    permits.use(lambda _: found.extend(state.active_requests), permit, lambda: None)

    assert ([each.info()["id"] for each in found], list(state.active_requests)) == (["one"], [])
    assert state.all_total_count[0] == processed + 1


def test_a_permit_that_breaks_is_taken_and_told_and_ends_nothing_else(permit, caplog):
    taken = []

    def broken(queue):
        raise RuntimeError(queue)

    permits.use(broken, permit, lambda: taken.append(True))

    assert (taken, list(state.active_requests)) == ([True], [])
    assert [(each.getMessage(), each.queue) for each in caplog.records] == [("permit broke", "normal")]
