"""A model that enforces its limits, and a backlog larger than they are: what is allowed is used, and no more.

Windows of seconds stand for minutes; with STRATA_TEST_WINDOW_SECONDS=60 they are minutes. A call that a busy machine
sends late arrives in the window behind its own: what the pace leaves free of a window, three parts in a hundred, is to
be longer than that, as it is in a minute.
"""

import json
import os
import time

import httpx2
import pytest

from shared import db, organizations, pipelines
from shared.definition import read
from tests import factories
from tests.e2e.conftest import answers
from tests.factories import prompt_layer, source
from tests.waiting import until

pytestmark = pytest.mark.e2e

WINDOW_SECONDS = float(os.environ.get("STRATA_TEST_WINDOW_SECONDS", "9"))
#: Whole windows that are measured, after the first, in which the pace is found.
WINDOWS = 2
BACKLOG_WINDOWS = 6
REQUESTS = int(20 * WINDOW_SECONDS)
SLOTS = 120
IN_FLIGHT = 40
MODEL = f"demo:requests={REQUESTS},in_flight={IN_FLIGHT},window_seconds={WINDOW_SECONDS:g},latency=400"
TOKENS = int(820 * WINDOW_SECONDS)
BY_TOKENS = f"demo:tokens={TOKENS},window_seconds={WINDOW_SECONDS:g},latency=400"


def providers(base_url):
    """The provider's limits as an operator writes them down, in minutes."""
    minutes = WINDOW_SECONDS / 60
    limits = {
        MODEL: {"requests_per_minute": round(REQUESTS / minutes), "in_flight": IN_FLIGHT},
        BY_TOKENS: {"tokens_per_minute": round(TOKENS / minutes)},
    }
    return json.dumps({"paced": {"base_url": base_url, "api_key": "demo", "model_limits": limits}})


@pytest.fixture
def counts(environment):
    """What the model itself has counted."""
    url = environment["OPENAI_BASE_URL"].removesuffix("/v1") + "/_buckets"
    httpx2.delete(url, trust_env=False)
    return lambda model: httpx2.get(url, trust_env=False).json().get(model, {"windows": []})


@pytest.fixture
def start_workers(start_unready, environment):
    """Start so many workers, which have the slots between them."""

    def start_workers(count):
        told = {"STRATA_PROVIDERS": providers(environment["OPENAI_BASE_URL"])}
        started = [start_unready("worker", STRATA_WORKER_CONCURRENCY=SLOTS // count, **told) for _ in range(count)]
        until(lambda: all(answers(f"http://127.0.0.1:{each.port}/readyz") for each in started), seconds=30)

    return start_workers


@pytest.fixture
def accept(organization, publish):
    """Accept so many executions of a pipeline that asks a model once."""

    def accept(model, count, **layer):
        publish(
            source(
                prompt_layer("Say something about {{film}}.", model=model, retry={"attempts": 4}, **layer),
                inputs=[{"name": "film"}],
            )
        )
        for number in range(count):
            factories.accept(organization, inputs=(("film", f"Film {number}"),))

    return accept


def parked():
    return factories.query("SELECT count(*) FROM executions WHERE blocked_by = 'pacing'")[0][0]


def measured(counts, model, *, after):
    """The counts once there are enough windows, and those that are measured: [requests, tokens] of each."""
    wanted = after + WINDOWS
    until(lambda: len(counts(model)["windows"]) > wanted, seconds=WINDOW_SECONDS * (wanted + 2) + 10)
    found = counts(model)
    return found, found["windows"][after:wanted]


@pytest.fixture
def free(database):
    """Accept an execution of another organization, on a model that has no limit."""
    with db.transaction() as connection:
        other = organizations.create(connection, "other")
        pipelines.publish(connection, other, "free", read(source()))
    return lambda: factories.accept(other, "free").id


@pytest.mark.parametrize("workers", [1, 4])
def test_allowed_requests_are_used_and_next_to_none_is_refused_and_who_waits_holds_no_slot(
    workers, start_workers, accept, counts, free
):
    # The backlog is there before anybody works on it, however long it takes to be accepted.
    accept(f"paced/{MODEL}", REQUESTS * BACKLOG_WINDOWS)
    start_workers(workers)
    until(lambda: parked() >= 2 * SLOTS)

    started = time.monotonic()
    mine = free()
    until(lambda: factories.row(mine).status == "succeeded")
    seconds = time.monotonic() - started
    found, windows = measured(counts, MODEL, after=1)

    assert sum(requests for requests, _ in windows) >= 0.9 * REQUESTS * WINDOWS, windows
    assert found["refused"] < 0.005 * found["allowed"]
    assert found["max_in_flight"] <= IN_FLIGHT
    assert seconds < 2.0


def test_allowed_tokens_are_used_however_far_the_estimates_are_off(start_workers, accept, counts):
    start_workers(1)
    accept(f"paced/{BY_TOKENS}", REQUESTS * BACKLOG_WINDOWS, max_tokens=500)

    _, windows = measured(counts, BY_TOKENS, after=2)

    assert sum(tokens for _, tokens in windows) >= 0.9 * TOKENS * WINDOWS, windows
