"""Postgres's disk is full: shortly, and only where root may mount a small one."""

import pytest

pytestmark = pytest.mark.chaos


def test_every_promise_holds_in_a_full_disk(scenario):
    found = scenario("disk_full", 0.1)
    if found.skipped:
        pytest.skip(found.skipped)

    assert found.broken == []
