"""The control API: what a test or a demo asks of the model itself, below `/_`.

PUT    /_behaviour      {"latency_ms": 0, "script": [rule, …]} replaces latency, rules and counts
DELETE /_behaviour      back to the start
GET    /_calls          ?execution=&layer=&model= → {"count", "in_flight", "calls": […]}
DELETE /_calls          forget the calls so far
GET    /_calls/count    {"count", "answered", "in_flight", "max_in_flight"}
"""

import json
from urllib.parse import parse_qsl

from deploy.demo_model import response
from deploy.demo_model.calls import Calls
from deploy.demo_model.errors import Refused
from deploy.demo_model.request import Request
from deploy.demo_model.script import Script


def answer(request: Request, calls: Calls, script: Script) -> bytes | None:
    """Do what is asked and say so; None for a path or method that is not here. Raises Refused."""
    match request.method, request.path:
        case "PUT", "/_behaviour":
            try:
                script.replace(json.loads(request.body))
            except json.JSONDecodeError as error:
                raise Refused(f"the behaviour is no JSON: {error}") from error
            return response.document(200, {})
        case "DELETE", "/_behaviour":
            script.reset()
            return response.document(200, {})
        case "GET", "/_calls":
            return _calls(request, calls)
        case "DELETE", "/_calls":
            calls.clear()
            return response.document(200, {})
        case "GET", "/_calls/count":
            return response.document(200, calls.totals())
    return None


def _calls(request: Request, calls: Calls) -> bytes:
    wanted = dict(parse_qsl(request.query))
    if unknown := wanted.keys() - {"execution", "layer", "model"}:
        raise Refused(f"calls cannot be filtered by {', '.join(sorted(unknown))}")
    found = list(calls.select(**wanted))
    in_flight = sum(call["seconds"] is None for call in found)
    return response.document(200, {"count": len(found), "in_flight": in_flight, "calls": found})
