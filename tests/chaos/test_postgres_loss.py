"""Postgres is restarted, its connections are killed and cut: a small part of each scenario of `make chaos`."""

import pytest

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("name", "size"), [("postgres_restart", 0.2), ("postgres_kills", 0.1), ("postgres_cut_commit", 0.1)]
)
def test_every_promise_holds_in(name, size, scenario):
    assert scenario(name, size).broken == []
