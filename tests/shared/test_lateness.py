"""What should have happened by now and has not."""

from shared import db, lateness
from tests import factories
from tests.factories import source


def late():
    with db.autocommit() as connection:
        found = lateness.now(connection)
    return found["deadline_seconds"], found["erasure_seconds"]


def test_without_executions_nothing_is_late(database):
    assert late() == (0, 0)


def test_the_first_deadline_that_is_over_counts(organization, publish):
    publish(source())
    for seconds in (90, 500, -60):
        found = factories.accept(organization)
        factories.change(
            "UPDATE executions SET deadline_at = now() - make_interval(secs => :seconds) WHERE id = :id",
            id=found.id,
            seconds=seconds,
        )

    assert 500 <= late()[0] < 560


def test_what_has_ended_has_kept_its_deadline(organization, publish):
    publish(source())
    claim = factories.running(organization)
    factories.change("UPDATE executions SET deadline_at = now() - interval '1 hour'")
    factories.finish(claim, keep_seconds=-120)

    deadline, erasure = late()

    assert deadline == 0
    assert 120 <= erasure < 180


def test_what_is_erased_is_late_no_more(organization, publish):
    publish(source())
    factories.finish(factories.running(organization), keep_seconds=-120)
    factories.change("UPDATE executions SET erased_at = now()")

    assert late() == (0, 0)
