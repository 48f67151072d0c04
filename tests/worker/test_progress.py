from contextlib import suppress
from dataclasses import replace

import pytest
from prometheus_client.registry import REGISTRY

from shared import db
from shared.errors import Fenced
from tests import factories
from tests.factories import source
from worker.alarms import Alarms
from worker.overtime import GRACE_SECONDS, Overtime
from worker.progress import Progress, Undone
from worker.running import Run, Running

GAP_SECONDS = 10.0
STALL_SECONDS = 1.0


def seconds(*looks):
    """What the last of these looks gives; each is (time, heads, claims so far, free slots)."""
    undone = Undone(gap_seconds=GAP_SECONDS)
    return [undone.seconds(heads, claims=claims, free=free, now=now) for now, heads, claims, free in looks][-1]


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([(0, "a", 0, 1), (9, "a", 0, 1)], 9),
        ([(0, "ab", 0, 1), (5, "b", 0, 1), (9, "bc", 0, 1)], 9),
        ([(0, "", 0, 1), (9, "", 0, 1)], 0),
        ([(0, "a", 0, 1), (5, "b", 0, 1), (9, "c", 0, 1)], 0),
        ([(0, "a", 0, 1), (5, "a", 1, 1), (9, "a", 1, 1)], 4),
        ([(0, "a", 0, 1), (5, "a", 0, 0), (9, "a", 0, 1)], 4),
        ([(0, "a", 0, 0), (9, "a", 0, 0)], 0),
        ([(0, "a", 0, 1), (11, "a", 0, 1), (12, "a", 0, 1)], 1),
    ],
    ids=["waits", "one queue", "no work", "others take it", "it claims", "busy meanwhile", "busy", "frozen"],
)
def test_work_is_undone_for_as_long_as_it_could_have_been_taken_and_was_not(looks, found):
    assert seconds(*looks) == found


@pytest.fixture
def watch(settings, database):
    """Start a watch of a worker with one slot that takes nothing; `.restarts` counts."""
    started = []

    def watch(running=None, overtime=None, **changes):
        changed = replace(settings, stall_seconds=STALL_SECONDS, worker_concurrency=1, **changes)
        restarts = []
        running = running or Running()
        progress = Progress(changed, running, overtime or Overtime(Alarms(), print), lambda: restarts.append(1))
        progress.restarts = restarts
        progress.start()
        started.append(progress)
        return progress

    yield watch
    for each in started:
        each.close()


def stalled():
    return REGISTRY.get_sample_value("strata_worker_stalled")


def test_a_worker_that_leaves_work_undone_says_so_and_is_started_anew(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)

    progress = watch()

    eventually(lambda: progress.trouble)
    assert (progress.restarts, stalled()) == ([], 1.0)
    eventually(lambda: progress.restarts)
    assert "is not taken, with 1 slots free" in progress.trouble


def test_a_worker_is_ready_again_once_the_work_is_taken(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)
    progress = watch(redis_url="redis://127.0.0.1:1")
    eventually(lambda: progress.trouble)

    factories.claim()

    eventually(lambda: progress.trouble is None and stalled() == 0.0)


def test_a_worker_in_which_a_layer_hangs_is_started_anew_though_it_has_nothing_to_do(
    organization, publish, watch, eventually
):
    publish(source())
    overtime, run = Overtime(Alarms(), lambda *_: None), Run(factories.running(organization))
    layer = replace(factories.layer("answer"), timeout_seconds=-GRACE_SECONDS)

    with suppress(Fenced), overtime.watched(run, layer):
        progress = watch(overtime=overtime)
        eventually(lambda: progress.restarts)

    assert "hanging" in progress.trouble


def looks(progress, eventually, count=4, meanwhile=lambda: None):
    """Let a watch look so often, longer than work may wait."""
    done = []
    look = progress._look
    progress._look = lambda: (done.append(1), look())
    eventually(lambda: meanwhile() or len(done) > count)


def test_without_a_broker_a_worker_is_unready_and_waits(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)
    progress = watch(redis_url="redis://127.0.0.1:1")
    eventually(lambda: progress.trouble)

    looks(progress, eventually)

    assert (bool(progress.trouble), progress.restarts) == (True, [])


def test_work_that_others_take_faster_is_no_alarm(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)
    progress = watch()

    def others():
        factories.accept(organization)
        factories.claim()

    looks(progress, eventually, meanwhile=others)

    assert (progress.trouble, len(factories.query("SELECT 1 FROM executions WHERE status = 'queued'"))) == (None, 1)


def test_without_postgres_no_time_counts(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)
    progress = watch(redis_url="redis://127.0.0.1:1")
    eventually(lambda: progress.trouble)

    db.connect("postgresql://nobody@127.0.0.1:1/nothing")

    eventually(lambda: progress.trouble is None)
    looks(progress, eventually)
    assert (progress.trouble, progress.restarts) == (None, [])


def test_work_of_another_queue_is_no_alarm(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization, queue="low")
    progress = watch(queues=("onsite", "normal"))

    looks(progress, eventually)

    assert progress.trouble is None


def test_a_worker_whose_slots_are_all_busy_raises_no_alarm(organization, publish, watch, eventually):
    publish(source())
    running = Running()
    claim = factories.running(organization)
    factories.accept(organization)

    with running.entered(claim):
        progress = watch(running)
        looks(progress, eventually)

        assert progress.trouble is None


def test_a_worker_that_drains_is_not_started_anew(organization, publish, watch, eventually):
    publish(source())
    factories.accept(organization)
    running = Running()
    running.draining.set()

    progress = watch(running)

    eventually(lambda: not progress._thread.is_alive())
    assert (progress.trouble, progress.restarts) == (None, [])
