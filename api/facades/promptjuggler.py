"""PromptJuggler's wire: prompts, workflows, their runs, knowledge bases and streams.

A pipeline whose output is one property is a prompt, any other a workflow. What cannot be done is `{"error": text}`,
with every fault of a body in one text.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from api import accepting, auth, context, idempotency, parsing, streams
from api.endpoint import answer, described
from api.facade import Facade, Failure
from api.facades import _promptjuggler_answers as answers
from api.facades import _promptjuggler_knowledge as knowledge
from api.facades import _promptjuggler_prompts as prompts
from api.facades import _promptjuggler_runs as runs
from shared import costs, db, pipelines, reports, strict_json
from shared.errors import Fault, Forbidden, Gone, Invalid, NotFound, Unauthorized
from shared.keys import Caller
from shared.order import Order
from shared.plan import Version
from shared.report import Report

blueprint = Blueprint("promptjuggler", __name__)

_FAILURES = {status: answers.Failed() for status in (401, 403, 404, 503)}
_START_FAILURES = {**_FAILURES, **{status: answers.Failed() for status in (400, 409, 413, 415, 422, 429)}}
_START_HEADERS = {idempotency.HEADER: idempotency.DESCRIPTION}
_EXAMPLE = {"inputs": {"film": "Metropolis"}, "priority": "onsite", "metadata": {"user_id": "42", "tags": ["a", "b"]}}
_NOUNS = {"pr_": "prompt revision", "wf_": "workflow version"}


def order(version: Version, body: Mapping[str, Any], *, channel: bool) -> Order:
    """The order in the body of a run; what is missing or faulty in it is left at its default."""
    inputs = body.get("inputs") or {}
    return Order(
        pipeline=str(version.pipeline_uuid),
        version=str(version.uuid),
        inputs=tuple(inputs.items()),
        text_inputs=True,
        metadata=body.get("metadata") or {},
        queue=body.get("priority") or "normal",
        thread=body.get("thread") or uuid4(),
        channel=(body.get("channel") or None) if channel else None,
        environment=body.get("environment"),
        env_vars=body.get("env_vars") or {},
        late_variables=True,
    )


@blueprint.get("/api/v1/prompts/<handle>/<version>")
@described(scope="read", answers={200: answers.PromptRevision(), **_FAILURES})
def get_prompt(handle: str, version: str) -> Response:
    """Show a version of a prompt."""
    caller = auth.caller("read")
    found = _published(caller, handle, version, "pr_")
    with db.autocommit() as connection:
        return answer(
            prompts.revision(
                found,
                context.this().providers.default_model,
                lambda name, spec: pipelines.resolve(connection, caller.organization_id, name, spec),
                lambda name: knowledge.folder_uuid(connection, caller.organization_id, name),
            )
        )


@blueprint.post("/api/v1/prompts/<handle>/<version>/runs")
@described(
    scope="execute",
    body=answers.CreatePromptRun(),
    headers=_START_HEADERS,
    answers={200: answers.Created(), **_START_FAILURES},
    example={**_EXAMPLE, "channel": "support"},
)
def run_prompt(handle: str, version: str) -> Response:
    """Run a prompt.

    The run goes on in the background: follow its thread, ask for it, or be told by a webhook.
    """
    return _start(handle, version, "pr_")


@blueprint.get("/api/v1/promptruns/<run>")
@described(scope="read", answers={200: answers.PromptRun(), **_FAILURES})
def get_prompt_run(run: str) -> Response:
    """Tell how far a prompt's run is, and what came of it."""
    report, cost = _found(run, "prompt run")
    return answer(runs.prompt_run(report, cost))


@blueprint.post("/api/v1/workflows/<handle>/<version>/runs")
@described(
    scope="execute",
    body=answers.CreateWorkflowRun(),
    headers=_START_HEADERS,
    answers={200: answers.Created(), **_START_FAILURES},
    example=_EXAMPLE,
)
def run_workflow(handle: str, version: str) -> Response:
    """Run a workflow: as a prompt is run, but that its prompts name their channels themselves."""
    return _start(handle, version, "wf_")


@blueprint.get("/api/v1/workflowruns/<run>")
@described(scope="read", answers={200: answers.WorkflowRun(), **_FAILURES})
def get_workflow_run(run: str) -> Response:
    """Tell how far a workflow's run is, and what came of it."""
    report, cost = _found(run, "workflow run")
    return answer(runs.workflow_run(report, cost))


@blueprint.post("/api/v1/threads/<thread>/stream-token")
@described(scope="read", answers={200: answers.StreamToken(), **_FAILURES, 409: answers.Failed()})
def create_stream_token(thread: str) -> Response:
    """Make a token that lets its bearer follow one thread, which need not be there yet."""
    caller = auth.caller("read")
    return answer(streams.mint(caller.organization_id, _uuid(thread, "thread")))


knowledge.add_to(blueprint)


def _start(handle: str, spec: str, prefix: str) -> Response:
    caller = auth.caller("execute")
    prompt = prefix == "pr_"
    parsed = parsing.body(answers.CreatePromptRun() if prompt else answers.CreateWorkflowRun())
    try:
        # What the names stand for may have changed since.
        report = accepting.repeated(caller)
        if report is None:
            version = _published(caller, handle, spec, prefix)
            report = accepting.accept(caller, order(version, parsed.values, channel=prompt), parsed.faults)
    except Gone as gone:
        # What was started once is told as before, even where its results have expired.
        return answer({"id": gone.tombstone["uuid"], "thread": gone.tombstone["thread"]})
    return answer({"id": str(report.uuid), "thread": str(report.thread)})


def _published(caller: Caller, handle: str, spec: str, prefix: str) -> Version:
    """The published version of a prompt, or of a workflow; with their prefix or without it is the same handle."""
    try:
        with db.autocommit() as connection:
            name = handle.removeprefix(prefix)
            found = pipelines.resolve(connection, caller.organization_id, name, spec, drafts=False)
    except NotFound as missing:
        raise NotFound(_NOUNS[prefix]) from missing
    if (found.plan.output is not None) != (prefix == "pr_"):
        raise NotFound(_NOUNS[prefix])
    return found


def _found(run: str, noun: str) -> tuple[Report, Mapping[str, Any] | None]:
    """A run and what it cost; one of the other kind is none."""
    caller = auth.caller("read")
    name = _uuid(run, noun)
    try:
        with db.autocommit() as connection:
            report = reports.find(connection, caller.organization_id, name)
            booked = costs.by_model(connection, report.id) if report.ended else []
    except (NotFound, Gone) as missing:
        raise NotFound(noun) from missing
    if (report.output_name is not None) != (noun == "prompt run"):
        raise NotFound(noun)
    return report, runs.run_cost(report, booked, context.this().providers)


def _uuid(text: str, noun: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as missing:
        raise NotFound(noun) from missing


def error(failure: Failure) -> Response:
    """Every failure on PromptJuggler's paths: `{"error": text}`."""
    return answer({"error": strict_json.clean(_told(failure))}, failure.status, failure.headers)


def _told(failure: Failure) -> str:
    found = failure.error
    if isinstance(found, Unauthorized):
        return "Missing or invalid API key"
    if isinstance(found, Forbidden):
        return f"This API key lacks the scope {found.scope}"
    if isinstance(found, Invalid):
        return "; ".join(_listed(found))
    if isinstance(found, HTTPException):
        return found.name.capitalize()
    return failure.text[:1].upper() + failure.text[1:]


def _listed(found: Invalid) -> list[str]:
    """Every fault: names that are missing or unknown together, the others with their places."""
    grouped: dict[str, list[str]] = {}
    others = []
    # What is there and cannot be used is not missing as well.
    unusable = {fault.field for fault in found.faults if not _is_missing_input(fault)}
    for fault in found.faults:
        if _is_missing_input(fault) and unusable & {"inputs", fault.field}:
            continue
        place = fault.field.replace("env_vars", "envVars", 1)
        holder, _, name = place.partition(".")
        if holder == "inputs" and name and fault.code in ("missing", "unknown"):
            grouped.setdefault(f"{fault.code.capitalize()} inputs", []).append(name)
        elif holder == "envVars" and "UPPER_CASE" in fault.message:
            grouped.setdefault("envVars: keys must be UPPER_CASE", []).append(name)
        else:
            others.append(f"{place}: {fault.message}")
    return [*(f"{text}: {', '.join(names)}" for text, names in grouped.items()), *others]


def _is_missing_input(fault: Fault) -> bool:
    return fault.code == "missing" and fault.field.startswith("inputs.")


FACADE = Facade(
    name="promptjuggler",
    paths=re.compile(
        r"^/+(?:stream(?:/|$)"
        r"|api/+v1/+(?:(?:promptruns|workflows|workflowruns|knowledge-bases|knowledge-documents|threads)(?:/|$)"
        r"|prompts/+[^/]+/+(?!executions/*$)[^/]+(?:/+runs)?/*$))"
    ),
    blueprint=blueprint,
    error=error,
)
