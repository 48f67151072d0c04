"""The wires that the demo speaks, as their clients do: how an execution is ordered, and how its answer is fetched."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from deploy.local.errors import LocalError

LONGEST_SECONDS = 300.0
WAIT_SECONDS = 30
# Discuro asks its clients to wait ten seconds before they look; this one is next door.
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One execution: what was asked of which wire, its answer, and the `/v2` report with all details."""

    request: str
    answer: Any
    passed: bool
    report: Mapping[str, Any]


def native(client: httpx2.Client, pipeline: Mapping[str, Any], inputs: Mapping[str, Any]) -> Run:
    """Execute over `/v2`: the start waits for the end, and who has to wait longer asks again."""
    path = f"/v2/pipelines/{pipeline['handle']}/versions/latest/executions"
    prefer = {"Prefer": f"wait={WAIT_SECONDS}"}
    report = ask(client, "POST", path, json={"inputs": inputs}, headers=prefer)
    until = time.monotonic() + LONGEST_SECONDS
    while report["ended_at"] is None:
        _check(until, report["id"])
        report = ask(client, "GET", f"/v2/executions/{report['id']}", headers=prefer)
    return Run(f"POST {path}", report["output"], report["status"] == "succeeded", report)


def discuro(client: httpx2.Client, pipeline: Mapping[str, Any], inputs: Mapping[str, Any]) -> Run:
    """Execute over Discuro's wire: a start that answers an id, then polls; every value is a text."""
    one = len(pipeline["definition"]["properties"]) == 1
    path, uuid = (
        ("/v1/prompt-templates/execute", "prompt_template_uuid")
        if one
        else ("/v1/orchestrators/execute", "orchestrator_uuid")
    )
    pairs = [{"name": name, "value": _text(value)} for name, value in inputs.items()]
    started = ask(client, "POST", path, json={uuid: pipeline["uuid"], "inputs": pairs})
    until = time.monotonic() + LONGEST_SECONDS
    polls, found = 0, started
    while found.get("status") != "ended":
        _check(until, started["id"])
        time.sleep(POLL_SECONDS)
        polls, found = polls + 1, ask(client, "POST", "/v1/executions/retrieve", params={"id": started["id"]})
    # Discuro has no words for layers that passed, so the timeline comes from our own report of it.
    report = ask(client, "GET", f"/v2/executions/{started['id']}")
    request = f"POST {path}, then {polls} × /v1/executions/retrieve"
    return Run(request, found["transformation"]["data"], found["passed"], report)


def promptjuggler(client: httpx2.Client, pipeline: Mapping[str, Any], inputs: Mapping[str, Any]) -> Run:
    """Execute over PromptJuggler's wire: a start that answers an id, then polls; every value is a text, both ways."""
    kind = "workflow" if pipeline["definition"].get("output") is None else "prompt"
    path = f"/api/v1/{kind}s/{pipeline['handle']}/__latest__/runs"
    started = ask(client, "POST", path, json={"inputs": {name: _text(value) for name, value in inputs.items()}})
    until = time.monotonic() + LONGEST_SECONDS
    polls, found = 0, {**started, "status": "pending"}
    while found["status"] == "pending":
        _check(until, started["id"])
        time.sleep(POLL_SECONDS)
        polls, found = polls + 1, ask(client, "GET", f"/api/v1/{kind}runs/{started['id']}")
    report = ask(client, "GET", f"/v2/executions/{started['id']}")
    if kind == "prompt":
        answer = _value(found["output"], report["output"])
    else:
        answer = {name: _value(text, report["output"].get(name)) for name, text in found["outputs"].items()}
    request = f"POST {path}, then {polls} × /api/v1/{kind}runs/…"
    return Run(request, answer, found["status"] == "completed", report)


def ask(client: httpx2.Client, method: str, path: str, **details: Any) -> Any:
    """Send a request and return the answer's JSON; LocalError with the answer's text where it is refused."""
    response = client.request(method, path, **details)
    if response.is_error:
        raise LocalError(f"{method} {path} was answered with {response.status_code}: {response.text.strip()[:2000]}")
    return response.json()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(text: str | None, like: Any) -> Any:
    """What a text of an answer stands for: itself where a text was to be told, else the JSON in it."""
    return text if text is None or isinstance(like, str) else json.loads(text)


def _check(until: float, name: int | str) -> None:
    if time.monotonic() > until:
        raise LocalError(f"execution {name} has not ended within {LONGEST_SECONDS:.0f} s")
