"""What Prometheus reads from Postgres at each scrape."""

import re

import pytest

from shared import db
from tests import factories
from tests.factories import source


@pytest.fixture
def scrape(client):
    """Every gauge and counter of ours without labels, by its name."""

    def scrape():
        text = client.get("/metrics").text
        return {name: float(value) for name, value in re.findall(r"^(strata_\w+) (\S+)$", text, re.MULTILINE)}

    return scrape


def test_nothing_is_late_where_nothing_is(scrape, organization, publish):
    publish(source())
    factories.accept(organization)
    factories.finish(factories.running(organization))

    found = scrape()

    assert (found["strata_deadline_overdue_seconds"], found["strata_erasure_overdue_seconds"]) == (0, 0)


def test_content_that_is_kept_too_long_is_told(scrape, organization, publish):
    publish(source())
    factories.finish(factories.running(organization), keep_seconds=-600)

    assert 600 <= scrape()["strata_erasure_overdue_seconds"] < 660


def test_the_clocks_of_one_machine_agree(scrape):
    assert abs(scrape()["strata_clock_offset_seconds"]) < 0.5


def test_without_postgres_there_are_none_and_the_rest_is_told(scrape, settings):
    db.connect("postgresql://nobody@127.0.0.1:1/nothing")
    try:
        found = scrape()
    finally:
        db.connect(settings.database_url)

    assert "strata_claims_lost_total" in found
    assert not set(found) & {"strata_deadline_overdue_seconds", "strata_clock_offset_seconds"}
