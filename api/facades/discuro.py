"""Discuro's wire: prompt templates and orchestrators are pipelines, properties and layers keep their names.

Source: https://help.discuro.com/apis (January 2023). Failures are `{"error": text, "meta_data": null}`; lists in
messages end with `, ` before the closing bracket, as in the vendor's own.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from marshmallow import fields, validate

from api import accepting, auth, idempotency, parsing
from api.endpoint import described
from api.facade import Facade, Failure
from api.facades import _discuro_answers as answers
from shared import strict_json
from shared.clock import rfc3339
from shared.errors import Fault, Gone, Invalid, NotFound, Unauthorized
from shared.kinds import Strict
from shared.order import Order
from shared.report import LayerReport, PropertyReport, Report

blueprint = Blueprint("discuro", __name__)

NO_EXECUTION = "Operation failed - execution_log not found"
_CODES = ("missing", "unknown", "duplicate", "invalid")


class Pair(Strict):
    """An input: its type is checked against the pipeline's own declaration."""

    name = fields.String(required=True)
    value = fields.Raw(required=True, allow_none=True)


class Tag(Strict):
    """A free pair kept with the execution."""

    key = fields.String(required=True, validate=validate.Length(max=200))
    value = fields.String(required=True, validate=validate.Length(max=2000))


class Start(Strict):
    """What both start endpoints have in common."""

    inputs = fields.List(fields.Nested(Pair), load_default=list, validate=validate.Length(max=1000))
    tags = fields.List(fields.Nested(Tag), load_default=list, validate=validate.Length(max=100))


class StartPromptTemplate(Start):
    """Body of the prompt template's start."""

    prompt_template_uuid = fields.String(required=True)


class StartOrchestrator(Start):
    """Body of the orchestrator's start."""

    orchestrator_uuid = fields.String(required=True)


_FAILURES = {status: answers.Failed() for status in (400, 401, 403, 413, 503)}
_START_FAILURES = {**_FAILURES, **{status: answers.Failed() for status in (409, 422, 429)}}
_START_HEADERS = {idempotency.HEADER: idempotency.DESCRIPTION}
_EXAMPLE = {
    "inputs": [{"name": "film", "value": "Metropolis"}],
    "tags": [{"key": "client", "value": "acme"}],
}
_UUID = "750b93ad-a33a-40b1-a892-3a3adcc5830b"


def order(body: Mapping[str, Any], uuid_field: str) -> Order:
    """The order in a start's body."""
    return Order(
        pipeline=body[uuid_field],
        inputs=tuple(
            (pair["name"], pair["value"]) for pair in body.get("inputs", ()) if {"name", "value"} <= set(pair)
        ),
        text_inputs=True,
        tags={tag["key"]: tag["value"] for tag in body.get("tags", ()) if {"key", "value"} <= set(tag)},
    )


def answer(report: Report) -> dict[str, Any]:
    """A report in Discuro's words: `started`, or `ended` with `passed` and the transformation."""
    if not report.ended:
        return {"id": report.id, "status": "started"}
    times = {"start": rfc3339(report.started_at or report.accepted_at), "end": rfc3339(report.ended_at)}
    usage = report.usage.as_json()
    if report.status == "succeeded":
        return {
            "id": report.id,
            "passed": True,
            "status": "ended",
            "transformation": {"data": report.output, **times, "usage": usage},
        }
    results = {str(each.id): _property(each, report) for each in report.properties if each.started}
    return {
        "id": report.id,
        "status": "ended",
        "passed": False,
        "transformation": {"results": results, "usage": usage, "data": {}, **times},
    }


def _property(each: PropertyReport, report: Report) -> dict[str, Any]:
    layers = {
        str(layer.id): _layer(layer, report) for layer in each.layers if layer.state not in ("pending", "skipped")
    }
    return {
        "start": rfc3339(each.started_at or report.started_at),
        "end": rfc3339(each.ended_at or report.ended_at),
        "passed": each.state == "passed",
        "error": _error(each, report),
        "property": {"name": each.name},
        "layer_results": layers if len(each.layers) > 1 else None,
    }


def _layer(layer: LayerReport, report: Report) -> dict[str, Any]:
    return {
        "start": rfc3339(layer.started_at or report.started_at),
        "end": rfc3339(layer.ended_at or report.ended_at),
        "passed": layer.state == "passed",
        "error": _error(layer, report),
        "layer": {"name": layer.name or layer.path.rpartition("/")[2]},
    }


def _error(each: PropertyReport | LayerReport, report: Report) -> str | None:
    # What was running when the execution was ended from outside carries the execution's own error.
    if each.state == "stopped":
        return report.error or report.reason
    return each.error


def error(failure: Failure) -> Response:
    """Every failure on Discuro's paths, in its envelope; what it calls not found is 400."""
    found = failure.error
    status = failure.status
    if isinstance(found, Gone) or (isinstance(found, NotFound) and found.noun == "execution"):
        return _failure(400, NO_EXECUTION)
    if isinstance(found, NotFound):
        return _failure(400, f"Operation failed - {found.noun} not found")
    if isinstance(found, Invalid):
        return _failure(400, f"Error: {_listed(found)}")
    if isinstance(found, Unauthorized):
        return _failure(401, "Error: missing or invalid API key", failure.headers)
    return _failure(400 if status == 415 else status, f"Error: {failure.text}", failure.headers)


def _listed(found: Invalid) -> str:
    inputs = [fault for fault in found.faults if fault.field.startswith("inputs.")]
    others = [f"{fault.field} {fault.message}" for fault in found.faults if fault not in inputs]
    groups = {code: [fault.field.partition(".")[2] for fault in inputs if fault.code == code] for code in _CODES}
    named = [
        f"{code} input values ({''.join(f'{name}, ' for name in names)})" for code, names in groups.items() if names
    ]
    return "; ".join([*named, *others])


def _failure(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json({"error": strict_json.clean(text), "meta_data": None}, status, headers)


def _json(body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, dict(headers or {}), content_type="application/json")


@blueprint.post("/v1/prompt-templates/execute")
@described(
    scope="execute",
    body=StartPromptTemplate(),
    headers=_START_HEADERS,
    answers={200: answers.Started(), **_START_FAILURES},
    example={"prompt_template_uuid": _UUID, **_EXAMPLE},
)
def execute_prompt_template() -> Response:
    """Start a prompt template."""
    return _start(StartPromptTemplate(), "prompt_template")


@blueprint.post("/v1/orchestrators/execute")
@described(
    scope="execute",
    body=StartOrchestrator(),
    headers=_START_HEADERS,
    answers={200: answers.Started(), **_START_FAILURES},
    example={"orchestrator_uuid": _UUID, **_EXAMPLE},
)
def execute_orchestrator() -> Response:
    """Start an orchestrator."""
    return _start(StartOrchestrator(), "orchestrator")


@blueprint.route("/v1/executions/retrieve", methods=["GET", "POST"])
@described(scope="read", query=answers.ExecutionId(), answers={200: answers.Retrieved(), **_FAILURES})
def retrieve() -> Response:
    """Tell how far an execution is, and what came of it.

    A POST may carry the id in a JSON body, `{"id": 98}`, instead of the query. A failed execution is answered with 200
    and `passed` false; one that is unknown, expired or another organization's with 400.
    """
    caller = auth.caller("read")
    return _json(answer(accepting.find(caller, _execution_id())))


def _start(schema: Start, noun: str) -> Response:
    caller = auth.caller("execute")
    parsed = parsing.body(schema)
    uuid_field = f"{noun}_uuid"
    faults = [*parsed.faults, *_tags_given_twice(parsed.values)]
    if uuid_field not in parsed.values:
        raise Invalid(faults)
    if not _is_uuid(parsed.values[uuid_field]):
        raise NotFound(noun)
    try:
        accepted = accepting.accept(caller, order(parsed.values, uuid_field), faults)
    except NotFound as missing:
        raise NotFound(noun) from missing
    return _json({"id": accepted.id})


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def _tags_given_twice(body: Mapping[str, Any]) -> list[Fault]:
    names = [tag.get("key") for tag in body.get("tags", ())]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    return [Fault("tags", f"{name} is given twice", "duplicate") for name in twice]


def _execution_id() -> int:
    found: Any = request.args.get("id")
    if found is None and request.method == "POST" and request.mimetype in parsing.JSON:
        body = parsing.document()
        found = body.get("id") if isinstance(body, dict) else None
    # Eighteen digits fit the column; whatever else is no id, and so an unknown one.
    if isinstance(found, bool) or not re.fullmatch(r"[0-9]{1,18}", str(found)):
        raise NotFound("execution")
    return int(found)


FACADE = Facade(
    name="discuro",
    paths=re.compile(r"^/+v1(?:/+(?!(?:generate|flows|logs|content)(?:/|$))|$)"),
    blueprint=blueprint,
    error=error,
)
