"""An answer that is told while it comes: from the model's stream through a worker, Redis and gunicorn to a client."""

import os
from signal import SIGKILL

import pytest

from tests.e2e.test_events import Stream
from tests.factories import prompt_layer, source
from tests.waiting import until

pytestmark = pytest.mark.e2e
#: An answer of some thirty words, a tenth of a second for each.
SLOW = source(prompt_layer(model="demo:pace=100", stream=True, retry={"attempts": 4}))


def text(stream):
    """What a reader puts together who does as the documentation says, deltas of another attempt or call apart."""
    found, source = "", None
    for each in stream.seen:
        body = each["data"]
        if each["event"] == "delta_reset" or (each["event"] == "delta" and source != (body["attempt"], body["call"])):
            found = ""
        if each["event"] == "delta":
            source = body["attempt"], body["call"]
            assert body["offset"] == len(found)
            found += body["text"]
    return found


def test_a_client_reads_the_answer_while_it_is_made(start, execute, http, report):
    start("worker")
    execution = execute(SLOW)
    stream = Stream(http, execution)

    until(lambda: len(text(stream)) > 20)
    running = report(execution)["status"]

    assert stream.over.wait(30)
    assert running == "running"
    assert text(stream) == report(execution)["output"]["answer"]
    assert stream.kinds().count("delta") > 10


def test_a_client_that_comes_back_misses_no_word(start, execute, http, report):
    start("worker")
    execution = execute(SLOW)
    whole = Stream(http, execution)
    until(lambda: whole.kinds().count("delta") > 3)

    resumed = Stream(http, execution, whole.seen[4]["id"])

    assert whole.over.wait(30)
    assert resumed.over.wait(30)
    assert resumed.seen == whole.seen[5:]


def test_a_reader_begins_anew_where_another_worker_does(start, execute, http, report):
    worker = start("worker")
    execution = execute(SLOW)
    stream = Stream(http, execution)
    until(lambda: len(text(stream)) > 20)

    os.killpg(worker.pid, SIGKILL)
    start("worker")

    assert stream.over.wait(40)
    assert text(stream) == report(execution)["output"]["answer"]
    assert {each["data"]["attempt"] for each in stream.seen if each["event"] == "delta"} == {1, 2}
