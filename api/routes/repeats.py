"""Executions run again: replay and repair."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response

from api import accepting, parsing, schemas, starting
from api.endpoint import endpoint
from api.routes.executions import named
from shared import db, pipelines, repeats
from shared.errors import Fault, Invalid
from shared.keys import Caller
from shared.order import Order
from shared.plan import Version
from shared.report import Report

blueprint = Blueprint("repeats", __name__, url_prefix="/v2/executions")

_REPLAY = schemas.Replay()
_REPAIR = schemas.Repair()


@blueprint.post("/<execution>/replay")
@endpoint(scope="execute", body=_REPLAY, headers=starting.HEADERS, answers=starting.ANSWERS, example={})
def replay(execution: str, caller: Caller) -> Response:
    """Run an ended execution again: the same inputs, of the same version or another."""
    body = parsing.body(_REPLAY, optional=True).checked()
    if report := accepting.repeated(caller):
        return starting.answered(report)
    first = accepting.find(caller, named(execution))
    _, wanted = _versions(caller, first, body)
    order = repeats.replay(first, wanted, deadline_seconds=body.get("deadline_seconds"))
    return starting.started(caller, _as_asked(order, body))


@blueprint.post("/<execution>/repair")
@endpoint(scope="execute", body=_REPAIR, headers=starting.HEADERS, answers=starting.ANSWERS, example={})
def repair(execution: str, caller: Caller) -> Response:
    """Run what failed or is missing of an ended execution, and what depends on it; what is good is kept, and free."""
    body = parsing.body(_REPAIR, optional=True).checked()
    if report := accepting.repeated(caller):
        return starting.answered(report)
    first = accepting.find(caller, named(execution))
    had, wanted = _versions(caller, first, body)
    order = repeats.repair(first, had, wanted, again=body["again"], deadline_seconds=body.get("deadline_seconds"))
    return starting.started(caller, _as_asked(order, body))


def _as_asked(order: Order, body: Mapping[str, Any]) -> Order:
    """An order with what may be spent on it this time, and the values of variables that came along."""
    return replace(order, **{name: body[name] for name in ("max_cost_usd", "max_tokens", "env_vars") if name in body})


def _versions(caller: Caller, first: Report, body: Mapping[str, Any]) -> tuple[Version, Version]:
    """The version that an execution ran, and the one that it is to run now."""
    spec = body.get("version", first.version)
    if isinstance(spec, bool) or not isinstance(spec, str | int):
        raise Invalid([Fault("version", "must be a number, tag, uuid or `latest`")])
    pipeline = str(first.pipeline_uuid)
    with db.autocommit() as connection:
        had = pipelines.resolve(connection, caller.organization_id, pipeline, str(first.version))
        return had, pipelines.resolve(connection, caller.organization_id, pipeline, str(spec))
