"""The reference page: everything on it, nothing loaded by it, nothing in it unescaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from flask import Flask
from markupsafe import Markup

from api import openapi, reference
from api.app import create_app
from shared.settings import Settings

#: Elements of HTML that have no end.
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """What a page consists of: its elements with their attributes, ids, links, and elements left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none", redis_url="redis://127.0.0.1:1"))


@pytest.fixture(scope="module")
def response(app):
    return app.test_client().get("/docs")


@pytest.fixture(scope="module")
def page(response):
    return Page(response.text)


def test_page_is_well_formed(page):
    assert page.open == []
    assert len(set(page.all("id"))) == len(page.all("id"))


def test_page_loads_nothing(page):
    assert not {"script", "img", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.elements}
    assert page.all("src") == []
    assert [attributes["href"] for tag, attributes in page.elements if tag == "link"] == ["data:,"]


def test_page_links_only_to_itself_and_the_document(page):
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]

    assert {link for link in links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in links if link.startswith("#")} <= set(page.all("id"))


def test_stylesheet_loads_nothing(response):
    stylesheet = re.search(r"<style>(.*?)</style>", response.text, re.DOTALL)[1]

    assert "url(" not in stylesheet
    assert "@import" not in stylesheet


def test_page_forbids_everything_but_its_stylesheet(response):
    stylesheet = re.search(r"<style>(.*?)</style>", response.text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode()
    policy = response.headers["Content-Security-Policy"].split("; ")

    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert not [attributes for _, attributes in Page(response.text).elements if "style" in attributes]


def test_page_lists_every_operation_with_a_command(app, page, response):
    commands = re.findall(r"<code>(curl .*?)</code>", response.text, re.DOTALL)
    found = [each for methods in openapi.document(app)["paths"].values() for each in methods.values()]

    assert {each["operationId"] for each in found} <= set(page.all("id"))
    assert len(commands) == len(found)


def test_page_has_every_schema(app, page):
    assert {f"schema-{name}" for name in openapi.document(app)["components"]["schemas"]} <= set(page.all("id"))


def test_page_serves_both_themes(response):
    assert "prefers-color-scheme: dark" in response.text


def test_page_is_not_sent_again_when_unchanged(app, response):
    headers = {"If-None-Match": response.headers["ETag"]}

    assert app.test_client().get("/docs", headers=headers).status_code == 304


def test_home_leads_to_the_page(app):
    response = app.test_client().get("/")

    assert (response.status_code, response.headers["Location"]) == (302, "/docs")


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("plain", "plain"),
        ("`<b>` & <i>", "<code>&lt;b&gt;</code> &amp; &lt;i&gt;"),
        ("`{{name}}`", "<code>{{name}}</code>"),
    ],
)
def test_prose_marks_code_and_escapes_the_rest(text, marked):
    assert reference.prose(text) == Markup(marked)


def test_shapes_escape_whatever_a_schema_says():
    evil = "<script>alert(1)</script>"
    schema = {"description": evil, "properties": {evil: {"type": evil, "enum": [evil], "description": evil}}}

    found = reference.shape(evil, {**schema, "oneOf": [{"$ref": f"#/{evil}"}, {"const": evil}, {"pattern": evil}]})

    row = found.fields[0]
    assert "<script" not in found.text + found.type + row.type + row.text


def test_commands_quote_what_a_shell_would_read():
    operation = {
        "parameters": [],
        "security": [{"bearer": ["read"]}],
        "requestBody": {"content": {"application/json": {"example": {"text": "it's $HOME"}}}},
    }

    assert reference.curl("/v2/x", "POST", operation).endswith("""--data '{\n  "text": "it'"'"'s $HOME"\n}'""")
