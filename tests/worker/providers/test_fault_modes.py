"""Every way in which a provider can go wrong ends with its reason, in time, in little memory, after few calls.

The client runs in a process of its own, so that its memory is seen apart from the model's.
"""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from deploy.demo_model.embedded import start_in_thread
from tests.conftest import ROOT

#: What a layer may take in these tests, and what a promised time may be exceeded by.
SECONDS = 4.0
TOLERANCE = 0.1
#: How far the memory may rise, in megabytes.
MEGABYTES = 50


class Mode(NamedTuple):
    """A fault of the model: what becomes of it, and after how many calls; `uncertain` ones may have been paid."""

    model: str
    outcome: str
    calls: int
    uncertain: int = 0
    output: str = "text"
    stream: bool = False


MODES = (
    Mode("demo:status=429,retry_after=1", "provider_rate_limited", 3),
    Mode("demo:status=429,retry_after=30", "parked", 1),
    Mode("demo:status=429,retry_after=3600", "provider_rate_limited", 1),
    Mode("demo:status=429", "provider_rate_limited", 3),
    Mode("demo:code=slow_down", "provider_rate_limited", 3),
    Mode("demo:status=500", "provider_error", 3),
    Mode("demo:status=500,times=2", "answered", 3),
    Mode("demo:status=503", "provider_overloaded", 3),
    Mode("demo:status=503,times=1", "answered", 2),
    Mode("demo:mode=silent", "provider_timeout", 1, uncertain=1),
    Mode("demo:latency=60000", "provider_timeout", 1, uncertain=1),
    Mode("demo:mode=drip", "provider_timeout", 1, uncertain=1),
    Mode("demo:mode=endless", "provider_garbage", 1, uncertain=1),
    Mode("demo:mode=huge", "provider_garbage", 1, uncertain=1),
    Mode("demo:mode=huge,status=500", "provider_garbage", 1, uncertain=1),
    Mode("demo:mode=truncated", "provider_unreachable", 3, uncertain=3),
    Mode("demo:mode=reset", "provider_unreachable", 3, uncertain=3),
    Mode("demo:mode=html", "provider_garbage", 2),
    Mode("demo:mode=no_choices", "provider_empty", 2),
    Mode("demo:mode=null_content", "provider_empty", 2),
    Mode("demo:mode=refusal", "provider_refused", 1),
    Mode("demo:mode=refusal,x", "provider_refused", 1, output="json"),
    Mode("demo:mode=content_filter", "provider_refused", 1),
    Mode("demo:mode=length", "output_truncated", 1, output="json"),
    Mode("demo:mode=nan", "output_invalid", 2, output="json"),
    Mode("demo:mode=bad_json", "output_invalid", 2, output="json"),
    Mode("demo:mode=bad_json,times=1", "answered", 2, output="json"),
    Mode("demo:mode=redirect", "provider_error", 1),
    Mode("demo:code=credit_balance_exhausted", "provider_quota", 1),
    Mode("demo:code=insufficient_quota", "provider_quota", 1),
    Mode("demo:mode=huge,bytes=8000000", "answered", 1),
    Mode("demo:mode=huge,bytes=4000000", "output_invalid", 2, output="json"),
    Mode("demo:mode=no_usage", "answered", 1),
    Mode("demo:mode=silent,s", "provider_timeout", 1, uncertain=1, stream=True),
    Mode("demo:mode=reset,s", "provider_unreachable", 3, uncertain=3, stream=True),
    Mode("demo:mode=cut_stream", "provider_unreachable", 3, uncertain=3, stream=True),
    Mode("demo:mode=garbage_chunk", "provider_garbage", 2, uncertain=2, stream=True),
    Mode("demo:mode=error_chunk", "provider_error", 3, uncertain=3, stream=True),
    Mode("demo:mode=endless_stream", "provider_timeout", 1, uncertain=1, stream=True),
    Mode("demo:mode=no_finish", "provider_unreachable", 3, uncertain=3, stream=True),
    Mode("demo:code=context_length_exceeded", "provider_bad_request", 1),
)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What came of each mode, by the model's name, with the calls that the model has counted."""
    cases = [{"model": each.model, "output": each.output, "stream": each.stream} for each in MODES]
    cases = [{**each, "attempts": 3, "seconds": SECONDS} for each in cases]
    with start_in_thread() as model:
        measured = [sys.executable, "-m", "tests.worker.providers.measured", model.base_url]
        done = subprocess.run(
            measured, input=json.dumps(cases), capture_output=True, text=True, cwd=ROOT, check=True, timeout=120
        )
        outcomes = zip(MODES, json.loads(done.stdout), strict=True)
        return {mode.model: {**each, "counted": len(model.calls(model=mode.model))} for mode, each in outcomes}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.model)
def test_a_fault_has_its_reason_after_no_more_calls_than_help(found, mode):
    outcome = found[mode.model]

    assert (outcome["outcome"], outcome["counted"]) == (mode.outcome, mode.calls)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.model)
def test_every_call_that_was_sent_is_told_and_uncertain_where_its_answer_was_lost(found, mode):
    outcome = found[mode.model]

    assert (outcome["calls"], outcome["uncertain"]) == (outcome["counted"], mode.uncertain)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.model)
def test_a_layer_ends_within_its_time(found, mode):
    assert found[mode.model]["seconds"] <= SECONDS * (1 + TOLERANCE)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.model)
def test_no_answer_fills_the_memory(found, mode):
    assert found[mode.model]["megabytes"] < MEGABYTES
