"""Redis is emptied, away, frozen or silent: a small part of each scenario of `make chaos`."""

import pytest

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("name", "size"), [("redis_flush", 0.1), ("redis_outage", 0.1), ("redis_cancel", 0.2), ("redis_half_open", 0.1)]
)
def test_every_promise_holds_in(name, size, scenario):
    assert scenario(name, size).broken == []
