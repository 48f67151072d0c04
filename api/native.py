"""Our own wire: body → order, report → answer."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from shared.clock import rfc3339
from shared.explanations import Explanation
from shared.order import Order
from shared.report import LayerReport, PropertyReport, Report, Spent


def order(pipeline: str, version: str, body: Mapping[str, Any]) -> Order:
    """The order in a body; what is missing or faulty in it is left at its default."""
    inputs = body.get("inputs") or {}
    return Order(
        pipeline=pipeline,
        version=version,
        inputs=tuple(inputs.items()),
        tags=body.get("tags") or {},
        metadata=body.get("metadata") or {},
        end_user=body.get("end_user"),
        queue=body.get("priority", "normal"),
        deadline_seconds=body.get("deadline_seconds"),
        max_cost_usd=body.get("max_cost_usd"),
        max_tokens=body.get("max_tokens"),
        not_before=body.get("not_before"),
        thread=body.get("thread"),
        channel=body.get("channel"),
        environment=body.get("environment"),
        env_vars=body.get("env_vars") or {},
    )


def answer(report: Report) -> dict[str, Any]:
    """A report as `/v2` tells it."""
    values = {each.name: each.value for each in report.properties if each.gives == "value"}
    return {
        "id": report.id,
        "uuid": str(report.uuid),
        "status": report.status,
        "blocked_by": report.blocked_by,
        "pipeline": {"handle": report.handle, "version": report.version, "uuid": str(report.pipeline_uuid)},
        "origin_id": report.origin_id,
        "priority": report.queue,
        "attempt": report.attempt,
        "accepted_at": rfc3339(report.accepted_at),
        "not_before": rfc3339(report.not_before),
        "deadline_at": rfc3339(report.deadline_at),
        "started_at": rfc3339(report.started_at),
        "ended_at": rfc3339(report.ended_at),
        "expires_at": rfc3339(report.expires_at),
        "cancel_requested_at": rfc3339(report.cancel_requested_at),
        "inputs": report.inputs,
        "tags": report.tags,
        "metadata": report.metadata,
        "end_user": report.end_user,
        "thread": str(report.thread) if report.thread else None,
        "channel": report.channel,
        "environment": report.environment,
        "output": report.output if report.status == "succeeded" else values,
        "error": _error(report),
        "usage": report.usage.as_json(),
        **_spent(report.spent),
        "max_cost_usd": dollars(report.max_cost_usd),
        "max_tokens": report.max_tokens,
        "properties": [_property(each) for each in report.properties],
    }


def dollars(found: Decimal | None) -> float | None:
    """US dollars as a JSON number; the books have ten decimals, which it holds up to a hundred thousand dollars."""
    return None if found is None else float(found)


def explanation(found: Explanation) -> dict[str, Any]:
    """An explanation as `/v2` tells it."""
    return {
        "id": found.id,
        "uuid": str(found.uuid),
        "status": found.status,
        "cause": {"code": found.cause.code, "message": found.cause.message, **found.cause.details},
        "place": found.place,
        "ahead": found.ahead,
        "own_ahead": found.own_ahead,
        "more_than": found.more_than,
        "estimate_seconds": found.estimate_seconds,
        "attempt": found.attempt,
        "deaths": found.deaths,
        "suspect": found.suspect,
    }


def _spent(found: Spent) -> dict[str, Any]:
    return {
        "cost": dollars(found.cost),
        "retried_usage": found.retried_usage.as_json(),
        "uncertain": {
            "calls": found.uncertain.calls,
            "tokens": found.uncertain.tokens,
            "cost": dollars(found.uncertain.cost),
        },
    }


def _error(report: Report) -> dict[str, Any] | None:
    if report.reason is None:
        return None
    failed = next((each for each in report.properties if each.state == "failed"), None)
    return {"reason": report.reason, "message": report.error or (failed.error if failed else None)}


def _property(each: PropertyReport) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name,
        "state": each.state,
        "started_at": rfc3339(each.started_at),
        "ended_at": rfc3339(each.ended_at),
        "value": each.value,
        "error": {"reason": each.reason, "message": each.error} if each.state == "failed" else None,
        "layers": [layer(one) for one in each.layers],
    }


def layer(found: LayerReport) -> dict[str, Any]:
    """A layer as `/v2` tells it."""
    return {
        "id": found.id,
        "name": found.name,
        "path": found.path,
        "kind": found.kind,
        "state": found.state,
        "started_at": rfc3339(found.started_at),
        "ended_at": rfc3339(found.ended_at),
        "attempt": found.attempt,
        "calls": found.calls,
        "output": found.output,
        "usage": found.usage.as_json() if found.usage else None,
        **_spent(found.spent),
        "details": found.details,
        "error": {"reason": found.reason, "message": found.error} if found.state == "failed" else None,
        "inner": _inner(found.inner, found.inner_states) if found.inner_states else None,
    }


def _inner(layers: Iterable[LayerReport], states: Mapping[str, int]) -> dict[str, Any]:
    """What ran inside of a layer as `/v2` tells it."""
    return {
        "passed": states.get("passed", 0),
        "failed": states.get("failed", 0),
        "skipped": states.get("skipped", 0),
        "layers": [layer(each) for each in layers],
    }
