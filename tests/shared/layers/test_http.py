import json

import pytest
from marshmallow import ValidationError

from shared.errors import LayerFailed
from shared.outside import Response
from tests.shared.layers.scripted import Tools, runner

http = runner("http")
URL = "https://example.com/films"


def response(body=b"null", status=200, content_type="application/json"):
    return Response(status, {"content-type": content_type} if content_type else {}, body)


def asked(settings, values=None, variables=None):
    """The one request that a layer sends."""
    tools = Tools(responses=[response()])
    http({"url": URL, **settings}, values, tools, variables)
    (request,) = tools.requests
    return request


def answered(settings, given):
    return http({"url": URL, **settings}, {}, Tools(responses=[given])).output


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("{{base}}/films", "http://a:8080/x?y=z/films"),
        ("${BASE}/films/{{film}}", "https://b/films/..%2F%3Fadmin%3D1%26%C3%BC%20%23"),
        ("https://example.com/?q={{film}}", "https://example.com/?q=..%2F%3Fadmin%3D1%26%C3%BC%20%23"),
        ("https://{{base}}.example.com/", "https://http%3A%2F%2Fa%3A8080%2Fx%3Fy%3Dz.example.com/"),
        ("https://example.com/${KEY}/{{number}}#part", "https://example.com/%24ecret/7"),
    ],
)
def test_a_value_in_a_url_stays_where_it_was_put(url, sent):
    values = {"base": "http://a:8080/x?y=z", "film": "../?admin=1&ü #", "number": 7}

    assert asked({"url": url}, values, {"BASE": "https://b", "KEY": "$ecret"}).url == sent


@pytest.mark.parametrize(("url", "sent"), [(URL, f"{URL}?"), (f"{URL}?a=1", f"{URL}?a=1&"), (f"{URL}#part", f"{URL}?")])
def test_parameters_are_added_to_the_url(url, sent):
    query = {"title": "{{title}}", "tag": "{{tags}}", "none": "{{none}}", "page": 2}

    request = asked({"url": url, "query": query}, {"title": "a&b", "tags": ["x", "y"], "none": None})

    assert request.url == f"{sent}title=a%26b&tag=x&tag=y&page=2"


def test_headers_and_body_have_their_references_and_variables_filled():
    headers = {"Authorization": "Bearer ${TOKEN}", "content-type": "text/csv"}

    request = asked({"method": "PUT", "headers": headers, "body": "a;{{b}}"}, {"b": "ü"}, {"TOKEN": "t0"})

    assert (request.method, request.body) == ("PUT", "a;ü".encode())
    assert request.headers == {"Authorization": "Bearer t0", "content-type": "text/csv"}


def test_json_is_sent_with_values_for_its_references():
    body = {"film": "{{film}}", "text": "On {{film.title}}", "keys": ["${KEY}", None, 1.5]}

    request = asked({"method": "POST", "json": body}, {"film": {"title": '"A"'}}, {"KEY": "k"})

    assert json.loads(request.body) == {"film": {"title": '"A"'}, "text": 'On "A"', "keys": ["k", None, 1.5]}
    assert request.headers == {"Content-Type": "application/json"}


def test_what_is_not_set_is_not_sent():
    request = asked({})

    assert (request.method, request.headers, request.body, request.max_bytes) == ("GET", {}, None, 1 << 20)


@pytest.mark.parametrize(
    ("settings", "given", "output"),
    [
        ({}, response(b'{"a": [1]}'), {"a": [1]}),
        ({}, response(b'\xef\xbb\xbf"x"', content_type=None), "x"),
        ({}, response(b"", status=204), None),
        ({"output": "text"}, response(b"gr\xfc\xdfe", content_type="text/plain; charset=iso-8859-1"), "grüße"),
        ({"output": "text"}, response("grüße".encode(), content_type="text/plain; charset=nonsense"), "grüße"),
        ({"output": "text"}, response(b"\xff", content_type=None), "\ufffd"),
        (
            {"output": "full"},
            response(b"{}", content_type="application/hal+json; charset=utf-8"),
            {"status": 200, "headers": {"content-type": "application/hal+json; charset=utf-8"}, "body": {}},
        ),
        (
            {"output": "full"},
            response(b"{}", content_type="text/html"),
            {"status": 200, "headers": {"content-type": "text/html"}, "body": "{}"},
        ),
    ],
)
def test_an_answer_is_read_as_the_output_says(settings, given, output):
    assert answered(settings, given) == output


@pytest.mark.parametrize("body", [b"{", b"NaN", b'{"a": 1, "a": 2}', b"\xff", b"[" * 1000, b"<html>"])
def test_an_answer_that_is_no_json_fails_the_layer(body):
    with pytest.raises(LayerFailed) as caught:
        answered({}, response(body))

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize(
    ("expected", "status", "passes"),
    [
        (["200-299"], 204, True),
        (["200-299"], 302, False),
        ([200, "400-404"], 404, True),
        ([404], 200, False),
        (["404"], 404, True),
        (["100-599"], 500, True),
    ],
)
def test_a_status_that_is_not_expected_fails_the_layer(expected, status, passes):
    given = response(b"{}", status=status)

    if passes:
        assert answered({"expect_status": expected}, given) == {}
    else:
        with pytest.raises(LayerFailed) as caught:
            answered({"expect_status": expected}, given)
        assert caught.value.reason == "http_status"


def test_a_failure_tells_what_the_server_said():
    with pytest.raises(LayerFailed, match=r"^the server answered 404\nno such film$"):
        answered({}, response(b"no such film", status=404, content_type="text/plain"))


def test_a_body_that_grows_without_bound_is_refused():
    with pytest.raises(LayerFailed, match="more than") as caught:
        asked({"method": "POST", "json": ["{{a}}"] * 5000}, {"a": "a" * 10_000})

    assert caught.value.reason == "value_invalid"


@pytest.mark.parametrize("url", ["https://{{host}}:{{port}}/{{path}}?q={{q}}", "${BASE}/../x", "{{url}}"])
def test_a_url_whose_parts_are_not_known_yet_is_no_fault(url):
    assert http({"url": url}, dict.fromkeys(["host", "port", "path", "q", "url"], "1"), Tools(responses=[response()]),
                {"BASE": "https://a"}).output is None  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"url": ""},
        {"url": "ftp://example.com/{{a}}"},
        {"url": "https://{{user}}@example.com/"},
        {"url": "https://example.com/a b"},
        {"url": "https://example.com/../{{a}}"},
        {"url": "/films"},
        {"method": "TRACE"},
        {"method": "HEAD"},
        {"headers": {"X": 1}},
        {"headers": []},
        {"headers": {"Host": "a"}},
        {"headers": {"a b": "a"}},
        {"query": "a=b"},
        {"body": "a", "json": {}},
        {"expect_status": []},
        {"expect_status": 200},
        {"expect_status": [99]},
        {"expect_status": ["200-"]},
        {"expect_status": [True]},
        {"expect_status": ["200\n"]},
        {"output": "xml"},
        {"max_bytes": (8 << 20) + 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        http({"url": URL, **settings})
