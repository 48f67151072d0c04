from contextlib import suppress
from uuid import uuid4

import pytest

from shared import broker
from worker import task_events
from worker.task_events import TaskEvents


@pytest.fixture
def app(database, settings):
    return broker.celery_app(settings)


def buffered(app, *, enabled=True):
    """Events that nobody has sent yet."""
    events = TaskEvents(app, "worker@here", enabled=False)
    events._enabled = enabled
    return events


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("succeeded", "task-succeeded"),
        ("failed", "task-failed"),
        ("cancelled", "task-revoked"),
        ("released", "task-retried"),
    ],
)
def test_an_attempt_that_ends_is_a_task_that_ends(app, status, kind):
    events, uuid = buffered(app), uuid4()

    events.ended(uuid, "movies@1", status, 1.5)

    (event,) = events._waiting
    assert (event["type"], event["uuid"], event["name"], event["runtime"]) == (kind, str(uuid), "movies@1", 1.5)


def test_an_attempt_that_begins_is_a_task_without_arguments(app):
    events = buffered(app)

    events.started(uuid4(), "movies@1")

    received, started = events._waiting
    assert (received["type"], received["args"], received["kwargs"]) == ("task-received", "()", "{}")
    assert started["type"] == "task-started"


def test_nothing_is_gathered_where_events_are_turned_off(app):
    events = buffered(app, enabled=False)

    events.started(uuid4(), "movies@1")

    assert not events._waiting


def test_events_beyond_the_capacity_push_out_the_oldest(app, monkeypatch):
    monkeypatch.setattr(task_events, "CAPACITY", 3)
    events = buffered(app)

    for number in range(5):
        events.ended(uuid4(), f"movies@{number}", "succeeded", 0.1)

    assert [event["name"] for event in events._waiting] == ["movies@2", "movies@3", "movies@4"]


def test_events_are_dropped_while_the_broker_is_away(settings):
    app = broker.celery_app(settings.__class__(redis_url="redis://127.0.0.1:1"))
    events = TaskEvents(app, "worker@here", enabled=True)

    events.started(uuid4(), "movies@1")
    events.close()

    assert not events._waiting


def test_flower_hears_of_an_execution(app):
    heard = []
    receiver = app.events.Receiver(app.connection_for_read(), handlers={"*": heard.append})
    with receiver.consumer_context() as (connection, _, _):
        # A subscription begins with the first wait.
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)
        events = TaskEvents(app, "worker@here", enabled=True)
        events.started(uuid4(), "movies@1")
        events.close()
        connection.drain_events(timeout=5)

    assert [event["type"] for event in heard] == ["task-received", "task-started"]
