"""Random histories of the execution protocol; longer ones with STRATA_TEST_EXAMPLES, and other ones each time then."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shared import db, organizations, pipelines
from shared.definition import read
from tests.factories import prompt_layer
from tests.shared.protocol.clock import Clock
from tests.shared.protocol.crew import Crew

_EXAMPLES = os.environ.get("STRATA_TEST_EXAMPLES")
_SETTINGS = settings(
    max_examples=int(_EXAMPLES or 60),
    stateful_step_count=40,
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
_SOURCE = {
    "properties": [
        {"name": "first", "layers": [prompt_layer(), prompt_layer("Say it again.")]},
        {"name": "second", "layers": [prompt_layer("Say something else.")]},
    ]
}


class Protocol(Crew, Clock):
    """Everything that may happen to an execution, in any order."""


@pytest.fixture
def versions(database):
    """The version that each of two organizations has published, by the organization's id."""
    with db.transaction() as connection:
        tenants = [organizations.create(connection, name) for name in ("acme", "other")]
        published = [pipelines.publish(connection, each, "pipeline", read(_SOURCE)).version_id for each in tenants]
        return dict(zip(tenants, [pipelines.version(connection, each) for each in published], strict=True))


def test_whatever_happens_every_execution_is_what_the_protocol_promises(versions):
    run_state_machine_as_test(lambda: Protocol(versions), settings=_SETTINGS)
