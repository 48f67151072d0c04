"""What Prometheus is told; labels are few and fixed, never a tenant or a text."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from prometheus_client import Counter, Histogram

from shared.order import QUEUES
from shared.plan import Call

_Metric = TypeVar("_Metric", Counter, Histogram)

_accepted = Counter("strata_executions_accepted", "Executions accepted by this process", ["queue"])
_refused = Counter("strata_refused", "Starts refused by a limit on the way in", ["limit"])
_failed = Counter("strata_executions_failed", "Executions that failed, by reason code", ["reason"])
_rescued = Counter(
    "strata_executions_rescued",
    "Executions taken from workers whose lease was over, by what became of them",
    ["outcome"],
)
_parked = Counter("strata_executions_parked", "Times that executions were put aside for a limit of a provider")
_lost = Counter("strata_claims_lost", "Executions that this worker ran and owned no more")
_dropped = Counter("strata_hints_dropped", "Permits, rings and events that never reached Redis")
_ended = Counter("strata_executions_ended", "Executions that this process saw to their end", ["status"])
_queued = Histogram(
    "strata_queue_seconds",
    "Seconds from when an execution could start until its claim",
    ["queue"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
_layers = Histogram(
    "strata_layer_seconds",
    "Seconds that layers took",
    ["kind", "passed"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300),
)
_calls = Counter("strata_provider_calls", "Requests sent to model providers, by what came of them", ["outcome"])
_tokens = Counter("strata_tokens", "Tokens that providers counted", ["direction"])
_cost = Counter("strata_cost_usd", "US dollars for the calls of this worker whose prices are known")
_deliveries = Counter("strata_webhook_tries", "Tries to tell webhooks, by what became of the delivery", ["outcome"])
_documents = Counter("strata_documents", "Documents that came to their end, by their status", ["status"])
_told = Histogram(
    "strata_webhook_seconds",
    "Seconds that tries to tell webhooks took",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
_unused = Counter(
    "strata_calls_unused",
    "Calls that no result was made of: `retried` got no answer that was used, `uncertain` were cut before theirs",
    ["cause"],
)

# A series that begins with its first event rises from nothing, which no alarm sees: those that alarms watch begin at 0.
for _metric, _labels in (
    (_refused, ("rate", "queued")),
    (_ended, ("succeeded", "failed", "cancelled")),
    (_failed, ("worker_lost", "deadline", "internal", "layer_timeout")),
    (_rescued, ("queued", "failed", "cancelled")),
    (_queued, QUEUES),
    (_unused, ("retried", "uncertain")),
    (_deliveries, ("delivered", "tried again", "failed")),
    (_calls, ("answered", "provider_auth", "provider_quota", "provider_rate_limited")),
):
    for _label in _labels:
        _metric.labels(_label)


@lru_cache(maxsize=1000)
def _of(metric: _Metric, *labels: str) -> _Metric:
    """One series of a metric; looking it up costs more than counting."""
    return metric.labels(*labels)


def accepted(queue: str, count: int = 1) -> None:
    """Executions were accepted."""
    _of(_accepted, queue).inc(count)


def refused(limit: str) -> None:
    """A start was refused; the limit is `rate` or `queued`."""
    _of(_refused, limit).inc()


def ended(status: str) -> None:
    """An execution ended."""
    _of(_ended, status).inc()


def failed(reason: str, count: int = 1) -> None:
    """Executions failed, with a reason code."""
    _of(_failed, reason).inc(count)


def rescued(outcomes: Mapping[str, int]) -> None:
    """Executions were taken from dead workers: how many went to which status."""
    for outcome, count in outcomes.items():
        _of(_rescued, outcome).inc(count)


def parked() -> None:
    """An execution was put aside, for a limit of its model's provider."""
    _parked.inc()


def claim_lost() -> None:
    """An execution that ran here is another's, or has ended."""
    _lost.inc()


def hints_dropped(count: int) -> None:
    """Hints were dropped."""
    _dropped.inc(count)


def claimed(queue: str, seconds_queued: float) -> None:
    """An execution was claimed, so long after it could have been."""
    _of(_queued, queue).observe(max(0.0, seconds_queued))


def layer(kind: str, *, passed: bool, seconds: float) -> None:
    """A layer ended."""
    _of(_layers, kind, "true" if passed else "false").observe(seconds)


def called(outcome: str) -> None:
    """A provider was called; the outcome is `answered` or a reason code."""
    _of(_calls, outcome).inc()


def tokens(prompt: int, completion: int) -> None:
    """A provider counted tokens."""
    _of(_tokens, "prompt").inc(prompt)
    _of(_tokens, "completion").inc(completion)


def cut(count: int) -> None:
    """Calls were found that were cut before their answers."""
    _of(_unused, "uncertain").inc(count)


def delivered(outcome: str, seconds: float) -> None:
    """A webhook was told, or that was tried; the outcome is `delivered`, `tried again` or `failed`."""
    _of(_deliveries, outcome).inc()
    _told.observe(seconds)


def read(status: str) -> None:
    """A document came to its end: `ready` or `failed`."""
    _of(_documents, status).inc()


def spent(call: Call) -> None:
    """A call came to its end."""
    if call.uncertain:
        _of(_unused, "uncertain").inc()
        return
    if not call.kept:
        _of(_unused, "retried").inc()
    if call.cost is not None:
        _cost.inc(float(call.cost))
