"""What Prometheus is told; labels are few and fixed, never a tenant or a text."""

from prometheus_client import Counter, Histogram

_accepted = Counter("strata_executions_accepted", "Executions accepted by this process", ["queue"])
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


def accepted(queue: str) -> None:
    """An execution was accepted."""
    _accepted.labels(queue).inc()


def ended(status: str) -> None:
    """An execution ended."""
    _ended.labels(status).inc()


def claimed(queue: str, seconds_queued: float) -> None:
    """An execution was claimed, so long after it could have been."""
    _queued.labels(queue).observe(max(0.0, seconds_queued))


def layer(kind: str, *, passed: bool, seconds: float) -> None:
    """A layer ended."""
    _layers.labels(kind, "true" if passed else "false").observe(seconds)


def called(outcome: str) -> None:
    """A provider was called; the outcome is `answered` or a reason code."""
    _calls.labels(outcome).inc()


def tokens(prompt: int, completion: int) -> None:
    """A provider counted tokens."""
    _tokens.labels("prompt").inc(prompt)
    _tokens.labels("completion").inc(completion)
