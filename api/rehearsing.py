"""Answers a dry run: the faults of an order, all at once, and what it would do."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from api import context
from api.endpoint import answer
from shared import budgets, db, inputs, nesting, pipelines, preflight, questions, rehearsals, variables
from shared.bounds import Bound
from shared.errors import Fault, LayerFailed
from shared.keys import Caller
from shared.order import Order
from shared.plan import Plan, Reference, Version
from shared.rehearsal import Part, Rehearsal, Step
from shared.variables import Variables

_NOTHING_KNOWN = Bound(None, None, None, None)


def rehearsed(caller: Caller, order: Order, faults: Sequence[Fault]) -> Response:
    """Tell what an order would do; NotFound for pipeline or version. Nothing is written."""
    version, pinned, wrong = _versions(caller, order)
    scope, unset = _variables(caller, order, [version.plan, *(each.plan for each in pinned.values())])
    providers = context.this().providers
    bound, unfit = inputs.bind(version.plan, order.inputs, text_inputs=order.text_inputs)
    plans = {"": version.plan} | {f"{name}: ": each.plan for name, each in pinned.items()}
    found = [
        *faults,
        *unfit,
        *unset,
        *wrong,
        *preflight.faults(plans, providers),
        *budgets.faults(order, plans.values(), providers),
    ]
    sizes = {name: len(value.encode()) for name, value in scope.values.items()}
    rehearsal = None if wrong else _rehearsal(version.plan, bound, pinned, sizes, on_thread=order.thread is not None)
    return answer({
        "clean": not found,
        "faults": [{"field": each.field, "message": each.message} for each in dict.fromkeys(found)],
        "pipeline": _reference(version),
        "pipelines": {name: _reference(each) for name, each in pinned.items()},
        "inputs": bound,
        "deadline_seconds": order.deadline_seconds or version.plan.deadline_seconds,
        **_told(rehearsal, order),
    })


def _versions(caller: Caller, order: Order) -> tuple[Version, dict[str, Version], list[Fault]]:
    """The version, those that run inside of it, and what is wrong with these."""
    organization = caller.organization_id
    with db.autocommit() as connection:
        version = pipelines.resolve(connection, organization, order.pipeline, order.version)
        ids, wrong = nesting.pins(version, lambda each: pipelines.resolve(connection, organization, *each))
        return version, {name: pipelines.version(connection, each) for name, each in ids.items()}, wrong


def _variables(caller: Caller, order: Order, plans: list[Plan]) -> tuple[Variables, list[Fault]]:
    with db.autocommit() as connection:
        return variables.of(connection, caller.organization_id, order, plans, context.this().sealer)


def _rehearsal(
    plan: Plan,
    bound: Mapping[str, Any],
    pinned: Mapping[str, Version],
    sizes: Mapping[str, int],
    *,
    on_thread: bool,
) -> Rehearsal | None:
    def find(reference: Reference) -> Plan:
        return pinned[str(reference)].plan

    try:
        return rehearsals.rehearse(plan, bound, context.this().providers, find, on_thread=on_thread, variables=sizes)
    except rehearsals.TooLarge:
        return None


def _told(found: Rehearsal | None, order: Order) -> dict[str, Any]:
    return {
        "warnings": list(found.warnings) if found else [],
        "properties": [_property(each) for each in found.parts] if found else [],
        "bound": _limited(found.bound if found else _NOTHING_KNOWN, order),
        "with_retries": _limited(found.with_retries if found else _NOTHING_KNOWN, order),
        "unbounded": list(dict.fromkeys(found.unbounded)) if found else [],
        "too_large": found is None,
    }


def _property(each: Part) -> dict[str, Any]:
    layers = [_layer(step) for step in each.steps]
    return {"name": each.name, "needs": list(each.needs), "runs": each.runs, "layers": layers}


def _layer(step: Step) -> dict[str, Any]:
    known = step.output is not None and step.output.known
    return {
        "path": step.path,
        "kind": step.kind,
        "runs": step.runs,
        "times": step.times,
        "timeout_seconds": step.timeout_seconds,
        "question": _question(step),
        "output": step.output.value if known and step.output else None,
        "output_known": known,
        "bound": _bound(step.bound),
        "with_retries": _bound(step.with_retries),
        "warnings": step.warnings,
        "layers": [_layer(each) for each in step.inner],
    }


def _question(step: Step) -> dict[str, Any] | None:
    asked = step.question
    if asked is None:
        return None
    try:
        targets = questions.targets(asked, context.this().providers)
    except LayerFailed:
        # It is among the faults.
        targets = []
    return {
        "models": [each.name for each in targets],
        "messages": asked.messages,
        "max_tokens": targets[0].max_tokens(asked.max_tokens) if targets else asked.max_tokens,
        "attempts": asked.attempts,
    }


def _limited(bound: Bound, order: Order) -> dict[str, Any]:
    """A bound, and not more than the order itself allows."""
    most = _bound(bound)
    if order.max_tokens is not None:
        most["tokens"] = _least(most["tokens"], order.max_tokens)
    if order.max_cost_usd is not None:
        most["cost"] = _least(most["cost"], float(order.max_cost_usd))
    return most


def _bound(bound: Bound) -> dict[str, Any]:
    return {
        "calls": bound.calls,
        "prompt_tokens": bound.prompt_tokens,
        "completion_tokens": bound.completion_tokens,
        "tokens": bound.tokens,
        "cost": None if bound.cost is None else float(bound.cost),
    }


def _least(bound: float | None, allowed: float) -> float:
    return allowed if bound is None else min(bound, allowed)


def _reference(version: Version) -> dict[str, Any]:
    return {"handle": version.handle, "version": version.number, "uuid": version.pipeline_uuid}
