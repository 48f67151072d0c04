import os
import subprocess
import sys
import textwrap
from uuid import uuid4

import pytest
import redis
from celery import Celery

from shared import broker


@pytest.fixture
def queues(database, settings):
    """The Redis behind the broker."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


def sent(settings):
    """Wait until every hint so far has left this process."""
    broker.close()
    broker.connect(settings)


def test_a_permit_is_a_message_in_its_queue(queues, settings):
    broker.permit("low", 3)
    sent(settings)

    assert [queues.llen(queue) for queue in ("onsite", "normal", "low")] == [0, 0, 3]


def test_permits_are_bounded_where_no_worker_has_said_a_number(queues, settings):
    for _ in range(5):
        broker.permit("normal", 100)
    sent(settings)

    assert queues.llen("normal") == broker.DEFAULT_BOUND


def test_permits_are_bounded_by_what_the_workers_have_use_for(queues, settings):
    broker.bound("normal", 6)
    broker.permit("normal", 100)
    broker.permit("normal")
    sent(settings)

    assert queues.llen("normal") == 6


def test_a_bound_of_one_queue_is_none_of_another(queues, settings):
    broker.bound("normal", 1)
    broker.permit("low", 3)
    sent(settings)

    assert queues.llen("low") == 3


def test_a_bound_is_forgotten_when_nobody_renews_it(queues, settings):
    broker.bound("normal", 6)
    sent(settings)

    assert 0 < queues.ttl("strata:bound:normal") <= broker.BOUND_SECONDS


def test_permits_carry_no_id_of_an_execution_and_each_has_its_own(queues, settings):
    app = broker.celery_app(settings)
    broker.permit("normal", 2)
    sent(settings)

    with app.connection_for_read() as connection:
        taken = [connection.SimpleQueue(name).get(timeout=5) for name in ("normal", "normal")]

    assert [message.payload[:2] for message in taken] == [[[], {}], [[], {}]]
    assert len({message.headers["id"] for message in taken}) == 2


WORKER = textwrap.dedent("""
    import os, sys
    from shared import broker
    from shared.settings import Settings
    app = broker.celery_app(Settings(redis_url=os.environ["REDIS_URL"], worker_concurrency=1))
    seen = []
    @app.task(name=broker.TASK, bind=True, ignore_result=True)
    def work(self):
        seen.append(self.request.delivery_info["routing_key"])
        if len(seen) == 3:
            print(",".join(sorted(seen)), flush=True)
            os._exit(0)
    app.worker_main(["worker", "--pool", "solo", "--loglevel", "ERROR", "--queues", "onsite,normal,low"])
""")


def test_a_celery_worker_takes_permits_for_its_own_tasks(queues, settings):
    for queue in ("onsite", "normal", "low"):
        broker.permit(queue)
    sent(settings)

    environment = {**os.environ, "REDIS_URL": settings.redis_url}
    ended = subprocess.run(
        [sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, timeout=30, check=False
    )

    assert ended.stdout.splitlines()[-1:] == ["low,normal,onsite"], ended.stderr[-2000:]


def test_a_broker_that_is_away_holds_nobody_up(settings):
    broker.connect(settings.__class__(redis_url=f"redis://:{uuid4()}@127.0.0.1:1/0"))

    broker.permit("normal", 100)
    broker.close()


def test_nothing_is_sent_before_a_connect():
    broker.close()

    with pytest.raises(RuntimeError):
        broker.courier()


def test_the_worker_keeps_no_results_and_acks_early(settings):
    app = broker.celery_app(settings)

    assert isinstance(app, Celery)
    assert (app.conf.result_backend, app.conf.task_acks_late, app.conf.task_ignore_result) == (None, False, True)
