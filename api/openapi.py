"""The OpenAPI 3.1 document of an application, built from the contracts that its views check requests with."""

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema
from werkzeug.routing import Rule

import shared
from api import openapi_schemas, schemas
from api.endpoint import Endpoint, Text, contract
from api.uploads import FORM

PROBLEM = "application/problem+json"
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
#: The order of the sections; any other comes after these, by its name.
_TAGS = (
    "pipelines",
    "differences",
    "executions",
    "batches",
    "events",
    "knowledge",
    "providers",
    "discuro",
    "promptjuggler",
    "operations",
    "docs",
)
#: The values of path parameters, each with an example; one without an entry would fail the tests.
_PATHS = {
    "handle": ("The pipeline's handle; its uuid or integer id is as good, but for a publication.", "film-reviews"),
    "version": ("A version's number, uuid or tag, or `latest`.", "latest"),
    "tag": ("A letter, then letters, digits, `.`, `_` or `-`.", "production"),
    "provider": ("The provider's name.", "default"),
    "batch": ("The batch's uuid.", "0c5d1a0e-7c1f-4f0e-9a52-1f6f2b8e5a11"),
    "thread": ("The thread's uuid.", "6f1c2f0e-52a9-4a3b-8f57-0c8f3f0f4c11"),
    "environment": ("The environment's name.", "production"),
    "variable": ("The variable's name: A to Z, digits and `_`, a letter first.", "SHOP_TOKEN"),
    "key": ("The key's integer id.", "7"),
    "folder": ("The folder's handle.", "product-manuals"),
    "document": ("The document's uuid.", "52f0b8f3-0f0b-4c5e-9a43-5f0a4d3e9a61"),
    "webhook": ("The webhook's uuid.", "018f0c3e-2b4d-4f6a-8c1e-5d7f9a0b1c2d"),
    "delivery": ("The delivery's uuid.", "5b0e1c7a-3d9f-4c2b-9e41-7a6f0d8c1b23"),
    "run": ("The run's uuid.", "d3df7c30-676a-4c77-aed6-c28a24e02324"),
    "execution": ("The execution's uuid, or its integer id.", "d3df7c30-676a-4c77-aed6-c28a24e02324"),
}
_PROBLEMS = {
    400: "The body cannot be read at all.",
    401: "The key is missing, unknown, expired or revoked.",
    403: "The key lacks the scope.",
    404: "What the path names does not exist for this organization.",
    409: "It cannot be done in the state that things are in.",
    410: "The results have expired; `execution` is what is still known.",
    413: "The body is too large.",
    415: "The body's content type is not read here.",
    422: "Values break their rules; `errors` names every fault with its place.",
    429: "A limit is reached; `Retry-After` says when to come again.",
    503: "Postgres is away; `Retry-After` says when to come again.",
}
_DESCRIPTION = """Runs prompts as durable jobs: what was accepted is finished, whatever dies meanwhile.

Every request carries a key, as `Authorization: Bearer <key>` or as `X-Api-Key: <key>`. Bodies are JSON in UTF-8, times
are RFC 3339 in UTC. Errors are problems as RFC 9457 defines them, and on a vendor's paths what that vendor's clients
expect. A list goes on where `next_cursor` is given as `cursor`. An answer may get more fields: pass over those that you
do not know. Every answer carries `X-Request-Id`, the caller's own where the request had one."""
_SCOPES = """Scopes: `execute` starts and cancels executions, `read` reads everything of its organization, `manage`
publishes pipelines and moves tags, `admin` may do everything."""


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of an application, built at the first call."""
    built: dict[str, Any] | None = app.extensions.get("strata.openapi")
    if built is None:
        built = app.extensions["strata.openapi"] = _Builder(app).built()
    return built


def operations(app: Flask) -> Iterator[tuple[Rule, str, Endpoint]]:
    """Every rule that states a contract, once for each of its methods."""
    for rule in app.url_map.iter_rules():
        stated = contract(app.view_functions[rule.endpoint])
        if stated is not None:
            yield from ((rule, method, stated) for method in _METHODS if method in (rule.methods or ()))


def path(rule: Rule) -> str:
    """A rule's path as OpenAPI writes it: `/v2/pipelines/{handle}`."""
    return re.sub(r"<(?:[^<>:]+:)?([^<>]+)>", r"{\1}", rule.rule)


class _Builder:
    """Builds one document."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._texts: dict[str, str] = {}
        plugin = MarshmallowPlugin(schema_name_resolver=self._named)
        self._spec = APISpec(
            title="Strata",
            version=shared.__version__,
            openapi_version="3.1.0",
            plugins=[plugin],
            info={"description": _DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}},
            servers=[{"url": app.extensions["strata"].settings.public_url or "/"}],
        )
        openapi_schemas.teach(plugin.converter)

    def built(self) -> dict[str, Any]:
        components = self._spec.components
        components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "description": _SCOPES})
        header = {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": _SCOPES}
        components.security_scheme("header", header)
        for rule, method, stated in operations(self._app):
            self._spec.path(path(rule), operations={method.lower(): self._operation(rule, method, stated)})
        self._add_tags()
        found: dict[str, Any] = self._spec.to_dict()
        openapi_schemas.finish(found, self._texts)
        return found

    def _named(self, schema: Any) -> str:
        name = openapi_schemas.name(schema)
        self._texts[name] = inspect.cleandoc(schema.__doc__ or "").splitlines()[0]
        return name

    def _add_tags(self) -> None:
        names = sorted(self._app.blueprints, key=lambda name: (*(name != tag for tag in _TAGS), name))
        for name in names:
            module = sys.modules[self._app.blueprints[name].import_name]
            self._spec.tag({"name": name, "description": inspect.cleandoc(module.__doc__ or "").splitlines()[0]})

    def _operation(self, rule: Rule, method: str, stated: Endpoint) -> dict[str, Any]:
        view = self._app.view_functions[rule.endpoint]
        summary, description = _told(inspect.cleandoc(view.__doc__ or ""))
        several = len([each for each in _METHODS if each in (rule.methods or ())]) > 1
        found = {
            "operationId": rule.endpoint.replace(".", "_") + (f"_{method.lower()}" if several else ""),
            "tags": [rule.endpoint.partition(".")[0]],
            "summary": summary,
            "parameters": [*_path_parameters(rule), *_header_parameters(stated)],
            "responses": {str(status): _response(status, stated) for status in _statuses(rule, stated)},
            "security": [{"bearer": [stated.scope]}, {"header": [stated.scope]}] if stated.scope else [],
        }
        if description:
            found["description"] = description
        if stated.query is not None:
            found["parameters"].append({"in": "query", "schema": stated.query})
        if stated.body is not None or stated.form is not None:
            found["requestBody"] = _request_body(stated)
        return found


def _told(docstring: str) -> tuple[str, str]:
    """A docstring as summary and description; what follows a colon in its first line is told below it."""
    first, _, rest = (part.replace("\n", " ") for part in (*docstring.partition("\n\n"),))
    summary, _, more = first.partition(": ")
    more = more[:1].upper() + more[1:]
    return summary.removesuffix("."), " ".join(part for part in (more, rest) if part)


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    return [
        {
            "in": "path",
            "name": name,
            "required": True,
            "description": _PATHS[name][0],
            "schema": {"type": "string"},
            "example": _PATHS[name][1],
        }
        for name in re.findall(r"\{([^}]+)\}", path(rule))
    ]


def _header_parameters(stated: Endpoint) -> list[dict[str, Any]]:
    return [
        {"in": "header", "name": name, "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in stated.headers.items()
    ]


def _request_body(stated: Endpoint) -> dict[str, Any]:
    types: dict[str, dict[str, Any]] = {}
    if stated.body is not None:
        example = {} if stated.example is None else {"example": stated.example}
        types = {each: {"schema": stated.body, **example} for each in stated.body_types}
    if stated.form is not None:
        types[FORM] = {"schema": stated.form.fields, "example": stated.form.example}
    return {"required": True, "content": types}


def _statuses(rule: Rule, stated: Endpoint) -> list[int]:
    """The statuses that a view states, and for one of our own those that its contract brings with it."""
    found = set(stated.answers)
    if stated.problems:
        found |= {401, 403, 503} if stated.scope is not None else set()
        found |= {404} if rule.arguments else set()
        found |= {400, 413, 415, 422} if stated.body is not None else set()
        found |= {422} if stated.query is not None else set()
    return sorted(found)


def _response(status: int, stated: Endpoint) -> dict[str, Any]:
    found = stated.answers.get(status, schemas.Problem())
    if isinstance(found, str):
        return {"description": found}
    if isinstance(found, Text):
        content = {"schema": {"type": "string"}, "example": found.example}
        return {"description": found.description, "content": {found.content_type: content}}
    if isinstance(found, tuple):
        texts = [inspect.cleandoc(each.__doc__ or "").splitlines()[0] for each in found]
        return {"description": " Or: ".join(texts), "content": {"application/json": {"schema": {"anyOf": [*found]}}}}
    content_type = PROBLEM if isinstance(found, schemas.Problem) else "application/json"
    described = inspect.cleandoc(found.__doc__ or "").splitlines()[0]
    text = _PROBLEMS[status] if status >= 400 and stated.problems else described
    return {"description": text, "content": {content_type: {"schema": found}}}


def schema_names(stated: Endpoint) -> list[str]:
    """The names that the schemas of a contract have in the document."""
    answers = [each for said in stated.answers.values() for each in (said if isinstance(said, tuple) else (said,))]
    form = stated.form.fields if stated.form else None
    used = (stated.body, form, *(each for each in answers if isinstance(each, Schema)))
    return [openapi_schemas.name(each) for each in used if each is not None]
