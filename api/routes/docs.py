"""The reference: `/docs` for people, `/openapi.json` for machines."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, render_template, request
from markupsafe import Markup

from api import context, openapi, reference
from api.endpoint import endpoint

blueprint = Blueprint("docs", __name__, template_folder="../templates")


@blueprint.get("/")
@endpoint(scope=None, answers={302: "To `/docs`."})
def home() -> Response:
    """Lead a browser to the reference."""
    return Response(status=302, headers={"Location": "/docs"})


@blueprint.get("/docs")
@endpoint(scope=None, answers={200: "This page.", 304: "Nothing has changed."})
def page() -> Response:
    """Show the reference as one page that loads nothing else."""
    app = current_app
    html = app.extensions.get("strata.docs") or app.extensions.setdefault("strata.docs", _page(app))
    response = _kept(html, "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src '{_digest()}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blueprint.get("/openapi.json")
@endpoint(scope=None, answers={200: "The document.", 304: "Nothing has changed."})
def document() -> Response:
    """Describe every route as an OpenAPI 3.1 document."""
    return _kept(json.dumps(openapi.document(current_app), ensure_ascii=False), "application/json")


def _kept(text: str, content_type: str) -> Response:
    """An answer that may be kept, and is asked for again before it is used."""
    response = Response(text, content_type=content_type)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _page(app: Flask) -> str:
    found = openapi.document(app)
    settings = context.this().settings
    return render_template(
        "docs.html",
        version=found["info"]["version"],
        description=[reference.prose(each) for each in found["info"]["description"].split("\n\n")],
        scopes=reference.prose(found["components"]["securitySchemes"]["bearer"]["description"]),
        url=(settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/"),
        sections=reference.sections(found),
        shapes=reference.shapes(found),
        stylesheet=Markup(_stylesheet()),  # noqa: S704 - a file of ours
    )


@cache
def _stylesheet() -> str:
    return (Path(__file__).parents[1] / "templates" / "docs.css").read_text(encoding="utf-8")


@cache
def _digest() -> str:
    # The one stylesheet that the page may apply is named by its digest, so that nothing slipped in can add another.
    return "sha256-" + base64.b64encode(hashlib.sha256(_stylesheet().encode()).digest()).decode()
