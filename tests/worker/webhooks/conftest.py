"""Webhooks that are told to a sink; what was told is the sink's own book."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Row

from shared import db, webhooks
from shared.executions import Claim
from shared.sealing import Sealer
from shared.settings import Settings
from shared.webhooks import Webhook
from tests import factories, sink
from tests.factories import LOOPBACK, source

SECRET_KEYS = ("a key of the tests that seals secrets",)
SEALER = Sealer(SECRET_KEYS)


@pytest.fixture
def receiver() -> Iterator[sink.Sink]:
    """A sink."""
    with sink.serving() as running:
        yield running


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings that may reach this machine, and seal."""
    return replace(settings, allowed_networks=LOOPBACK, secret_keys=SECRET_KEYS)


@pytest.fixture
def listen(organization: int) -> Callable[..., tuple[Webhook, str]]:
    """Make a webhook: `listen(url, events=(…), dialect=…)`; returns it with its secret."""

    def listen(
        url: str, events: Sequence[str] = ("execution.ended",), dialect: str = "standard", **details: Any
    ) -> tuple[Webhook, str]:
        with db.transaction() as connection:
            return webhooks.create(
                connection, organization, SEALER, url=url, dialect=dialect, events=list(events), **details
            )

    return listen


@pytest.fixture
def ended(organization: int, publish: Callable[..., Any]) -> Callable[..., Claim]:
    """End an execution, of a pipeline that gives one value; returns it."""
    publish(source(output="answer"))

    def ended(status: str = "succeeded", **details: Any) -> Claim:
        found = factories.running(organization, **details)
        factories.finish(found, status, output="done", **({"reason": "internal"} if status == "failed" else {}))
        return found

    return ended


def rows() -> list[Row[Any]]:
    """What Postgres has of deliveries, in the order in which they were owed."""
    return factories.query("SELECT *, due_at - clock_timestamp() AS left FROM deliveries ORDER BY id")


def attempts() -> list[Row[Any]]:
    """Every attempt of every delivery."""
    return factories.query("SELECT * FROM delivery_attempts ORDER BY delivery_id, number")


def hasten() -> None:
    """Let the time pass until everything that waits is due."""
    factories.change("UPDATE deliveries SET due_at = now() WHERE status = 'pending'")
