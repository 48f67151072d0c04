"""Reports in PromptJuggler's words: a prompt's run, a workflow's run, their tokens and their cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared import rendering
from shared.clock import rfc3339
from shared.costs import Booked
from shared.errors import LayerFailed
from shared.providers import Providers
from shared.report import LayerReport, PropertyReport, Report

_STATUS = {"succeeded": "completed", "failed": "failed", "cancelled": "failed"}
_PARTS = ("input", "cachedInput", "cacheWrite", "output", "webSearch", "total")
#: Of US dollars, as the books have them.
_CENT = Decimal("1e-10")


def prompt_run(report: Report, cost: Mapping[str, Any] | None) -> dict[str, Any]:
    """The run of a prompt; what it produced is told once it is completed."""
    completed = report.status == "succeeded"
    output = _text(report.output) if completed else None
    layers = _speaking(report) if completed else []
    return {
        "id": str(report.uuid),
        "status": _STATUS.get(report.status, "pending"),
        "createdAt": rfc3339(report.accepted_at),
        "finishedAt": rfc3339(report.ended_at),
        "output": output or None,
        "emitted": [_picked(each, "tool", "payload") for layer in layers for each in layer.details.get("emitted", ())],
        "transcript": _transcript(layers, output),
        "error": None if completed or not report.ended else _error(report),
        "tokenUsage": _tokens(report) if report.spent.calls else None,
        "cost": cost,
    }


def workflow_run(report: Report, cost: Mapping[str, Any] | None) -> dict[str, Any]:
    """The run of a workflow; what has a value by now is told at once."""
    return {
        "id": str(report.uuid),
        "status": _STATUS.get(report.status, "pending"),
        "createdAt": rfc3339(report.accepted_at),
        "finishedAt": rfc3339(report.ended_at),
        "outputs": {each.name: _text(each.value) for each in report.properties if each.gives == "value"},
        "errors": list(_errors(report)),
        "tokenUsage": _tokens(report) if report.ended else None,
        "cost": cost,
    }


def run_cost(report: Report, booked: Sequence[Booked], providers: Providers) -> dict[str, Any] | None:
    """What a run came to in US dollars; None while it is pending, and where the price of a call is not known."""
    if not report.ended or not booked or any(each.cost is None for each in booked):
        return None
    success = _model_cost([each for each in booked if each.kept], providers)
    retries = _model_cost([each for each in booked if not each.kept], providers)
    return {"success": success, "retries": retries, "total": float(sum(each.cost or 0 for each in booked))}


def _model_cost(booked: Iterable[Booked], providers: Providers) -> dict[str, float]:
    parts = dict.fromkeys(_PARTS, Decimal())
    for each in booked:
        cost = each.cost or Decimal()
        spent_on_input = (cost * _input_share(each, providers)).quantize(_CENT)
        parts["input"] += spent_on_input
        parts["output"] += cost - spent_on_input
        parts["total"] += cost
    return {name: float(part) for name, part in parts.items()}


def _input_share(booked: Booked, providers: Providers) -> Decimal:
    """How much of a cost the prompts made: by the model's prices, or where it has none any more by tokens."""
    prompt, completion = Decimal(booked.usage.prompt_tokens), Decimal(booked.usage.completion_tokens)
    try:
        price = providers.find(booked.model).price
    except LayerFailed:
        price = None
    if price is not None and price.cost(booked.usage):
        prompt, completion = prompt * price.prompt, completion * price.completion
    return prompt / (prompt + completion) if prompt + completion else Decimal()


def _text(value: Any) -> str | None:
    return None if value is None else rendering.as_text(value)


def _speaking(report: Report) -> list[LayerReport]:
    """The layers of the output with those inside of them, but for what a tool of a prompt has run: that is its own."""
    found = next((each.layers for each in report.properties if each.name == report.output_name), ())
    listed: list[LayerReport] = []
    for layer in found:
        inner = () if layer.kind == "prompt" else layer.inner
        listed += [*(each for each in inner if "/rounds[" not in each.path), layer]
    return listed


def _transcript(layers: Sequence[LayerReport], output: str | None) -> list[dict[str, Any]]:
    """All that was said, called and handed over.

    What other layers than the last have said is not the run's answer, nor is what a layer has said that is no prompt's:
    the output stands for it.
    """
    items: list[dict[str, Any]] = []
    for layer in layers:
        found = [_item(each) for each in layer.details.get("transcript", ())]
        answers = layer is layers[-1] and found
        items += found if answers else [each for each in found if each["type"] != "text"]
    if output and not any(each["type"] == "text" for each in items):
        items.append({"type": "text", "content": output, "citations": []})
    return _merged(items)


def _item(found: Mapping[str, Any]) -> dict[str, Any]:
    if found["type"] == "data":
        return _picked(found, "type", "tool", "payload")
    citations = [_picked(each, "title", "url") for each in found.get("citations", ())]
    if found["type"] == "tool":
        return {**_picked(found, "type", "name", "status"), "queries": found.get("queries", []), "citations": citations}
    return {**_picked(found, "type", "content"), "citations": citations}


def _merged(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts that follow each other are one, and name a source once."""
    merged: list[dict[str, Any]] = []
    for each in items:
        if each["type"] != "text":
            merged.append(each)
            continue
        before = merged.pop() if merged and merged[-1]["type"] == "text" else {"content": "", "citations": []}
        sources: dict[str, dict[str, Any]] = {}
        for source in (*before["citations"], *each["citations"]):
            sources.setdefault(source["url"], source)
        content = before["content"] + each["content"]
        merged.append({"type": "text", "content": content, "citations": list(sources.values())})
    return merged


def _picked(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names}


def _error(report: Report) -> str:
    if report.status == "cancelled":
        return "cancelled"
    failed = next((each.error for each in report.properties if each.state == "failed" and each.error), None)
    return report.error or failed or report.reason or "failed"


def _errors(report: Report) -> Iterator[str]:
    """Failures, and the warnings of layers that passed all the same."""
    told = False
    for each in report.properties:
        yield from (f"{each.name}: {warning}" for layer in each.layers for warning in _warnings(layer))
        if each.state == "failed":
            told = True
            yield f"{each.name}: {each.error or each.reason}"
    if report.status == "cancelled" or (report.status == "failed" and not told):
        yield _error(report)


def _warnings(layer: LayerReport) -> Iterator[str]:
    for each in (layer, *layer.inner):
        if "warning" in each.details:
            yield str(each.details["warning"])


def _tokens(report: Report) -> dict[str, int]:
    layers = [layer for each in report.properties for layer in _all_layers(each)]
    told = [layer.details.get("tokens", {}) for layer in layers]
    usage = report.usage
    return {
        "input": usage.prompt_tokens,
        "inputCached": min(sum(each.get("cached", 0) for each in told), usage.prompt_tokens),
        "output": usage.completion_tokens,
        "reasoning": min(sum(each.get("reasoning", 0) for each in told), usage.completion_tokens),
        "total": usage.total_tokens,
    }


def _all_layers(each: PropertyReport) -> Iterator[LayerReport]:
    """The layers and those inside of them, but for the rounds of a layer: it tells itself what they came to."""
    for layer in each.layers:
        yield layer
        yield from (one for one in layer.inner if one.kind != "round")
