"""Tools of servers of the Model Context Protocol: the package's own server on a port of this machine."""

import contextlib
import socket
import threading
import time

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer

from tests import factories
from tests.factories import LOOPBACK, prompt_layer, source
from tests.worker.providers.raw_server import answer, saying, serving
from tests.worker.test_tools import calls, layer_of

TOLERANCE_SECONDS = 1.0
#: Said by a server that answers once: a client that sends its next request on the same connection meets its end.
CLOSE = "Connection: close\r\n"


def films(said=None):
    server = MCPServer("films")

    @server.tool()
    def year(title: str) -> str:
        """Tell the year of a film."""
        if title == "none":
            raise ValueError("there is no such film")
        return f"{title} is of 2009"

    @server.tool()
    def wait(seconds: float) -> str:
        """Wait."""
        said and said.set()
        time.sleep(seconds)
        return "waited"

    return server


@contextlib.contextmanager
def served(server, seen=None, **settings):
    """The URL of a server while the block runs; `seen` gets the headers of each request."""
    # The package guards servers on this machine against names of others.
    inner = server.streamable_http_app(host="0.0.0.0")

    async def app(scope, receive, send):
        if seen is not None and scope["type"] == "http":
            seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await inner(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, **settings))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        running.should_exit = True
        thread.join(10)
        listener.close()


def asks(**settings):
    tool = {"type": "mcp", "name": "films", "url": "{{base}}", **settings}
    return source(prompt_layer(tools=[tool]), inputs=[{"name": "base"}], output="answer")


def accept(organization, url):
    return factories.accept(organization, inputs=(("base", url),))


@pytest.fixture
def near(start_worker):
    """A worker that may reach this machine."""
    return start_worker(allowed_networks=LOOPBACK)


def test_a_model_calls_the_tools_of_a_server(organization, publish, near, model):
    publish(asks(authorization_token="{{base}}"))
    model.script([calls(("films_year", {"title": "Avatar"})), {"match": ".", "answer": "2009."}])
    seen = []

    with served(films(), seen) as url:
        accepted = accept(organization, url)
        near.work()

    report = factories.report(organization, accepted)
    results = {each.path.removeprefix("answer/0/"): each.output for each in layer_of(report).inner}
    assert (report.output, results["rounds[0]/films_year[0]"]["content"]) == ("2009.", "Avatar is of 2009")
    assert {each["authorization"] for each in seen} == {f"Bearer {url}"}


def test_only_the_tools_that_are_allowed_are_offered(organization, publish, near, model):
    publish(asks(allowed_tools=["year"]))
    model.script([calls(("films_wait", {"seconds": 0})), {"match": ".", "answer": "x"}])

    with served(films()) as url:
        accepted = accept(organization, url)
        near.work()

    layer = layer_of(factories.report(organization, accepted))
    listed = next(each.output for each in layer.inner if each.path == "answer/0/tools[0]")
    assert ([each["known_as"] for each in listed], layer.inner[1].output["status"]) == (["year"], "error")


def test_what_a_server_says_that_failed_is_told_the_model(organization, publish, near, model):
    publish(asks())
    model.script([calls(("films_year", {"title": "none"})), {"match": ".", "answer": "Sorry."}])

    with served(films()) as url:
        accepted = accept(organization, url)
        near.work()

    report = factories.report(organization, accepted)
    result = next(each.output for each in layer_of(report).inner if "films_year" in each.path)
    assert (report.output, result["status"]) == ("Sorry.", "error")
    assert "Error executing tool year" in result["content"]


def test_a_private_server_is_not_reached(organization, publish, worker, model):
    publish(asks())

    with served(films(), seen := []) as url:
        accepted = accept(organization, url)
        worker.work()

    assert (factories.report(organization, accepted).reason, seen, model.totals()["count"]) == ("http_refused", [], 0)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (answer(b"{}", fields=CLOSE), "tool_failed"),
        (answer(b"x", status="500 Oops", fields=CLOSE), "tool_failed"),
        (answer(b"", status="307 Elsewhere", fields=f"Location: http://10.0.0.1/mcp\r\n{CLOSE}"), "tool_failed"),
        (b"", "http_unreachable"),
    ],
)
def test_a_server_that_speaks_nonsense_fails_the_layer(organization, publish, near, model, said, reason):
    publish(asks())

    with serving(saying(said)) as url:
        accepted = accept(organization, url)
        near.work()

    assert factories.report(organization, accepted).reason == reason


def test_a_layer_s_time_bounds_a_talk(organization, publish, near, model):
    definition = asks()
    definition["properties"][0]["layers"][0]["timeout_seconds"] = 1.5
    publish(definition)
    model.script([calls(("films_wait", {"seconds": 6})), {"match": ".", "answer": "x"}])

    with served(films()) as url:
        accepted = accept(organization, url)
        started = time.monotonic()
        near.work()
        took = time.monotonic() - started

    assert took < 1.5 + TOLERANCE_SECONDS
    assert factories.report(organization, accepted).reason == "provider_timeout"


def test_an_execution_that_waits_on_a_server_is_cancelled(organization, publish, near, working, model):
    publish(asks())
    model.script([calls(("films_wait", {"seconds": 6})), {"match": ".", "answer": "x"}])
    asked = threading.Event()

    with served(films(asked)) as url:
        accepted = accept(organization, url)
        work = working(near)
        assert asked.wait(8)
        assert factories.cancel(organization, accepted.uuid) == "cancelling"
        work.result(3.0)

    assert factories.report(organization, accepted).status == "cancelled"
