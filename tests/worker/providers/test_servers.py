"""What is good with one server is good with others: the demo model, and LiteLLM's proxy (`make litellm`)."""

import os
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace

import pytest
import yaml

from shared import broker, kinds
from shared.outside import History, Scope
from tests.conftest import ROOT
from tests.worker.providers.notebook import Notebook
from worker.providers.asking import Asking

LITELLM = ROOT / ".data/litellm/bin/litellm"
KEY = "sk-tests"
#: How long the proxy may take to start on a busy machine.
START_SECONDS = 180
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["title", "score"],
    "additionalProperties": False,
}
#: What each model of the proxy says; the demo model makes it up.
ANSWERS = {
    "text": "Hello from the proxy.",
    "list": '["one", "two"]',
    "json": '{"any": ["thing"]}',
    "json_schema": '{"title": "Metropolis", "score": 9}',
}


@contextmanager
def litellm(directory):
    """The base URL of a proxy that runs during the block."""
    named = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": answer}}
        for name, answer in ANSWERS.items()
    ]
    config = directory / "config.yaml"
    config.write_text(yaml.safe_dump({"model_list": named, "general_settings": {"master_key": KEY}}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [LITELLM, "--config", config, "--host", "127.0.0.1", "--port", str(port)]
    # It would ask the internet for prices.
    alone = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with (directory / "log").open("w") as log:
        running = subprocess.Popen(command, env={**os.environ, **alone}, stdout=log, stderr=log, cwd=directory)
    try:
        wait_for(f"http://127.0.0.1:{port}/health/liveliness", running)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.terminate()
        running.wait(30)


def wait_for(url, running):
    """Wait until a URL answers, while its process lives."""
    until = time.monotonic() + START_SECONDS
    while running.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the proxy does not answer, exit status {running.poll()}")


@pytest.fixture(scope="module", params=["demo", pytest.param("litellm", marks=pytest.mark.litellm)])
def server(request, model, tmp_path_factory):
    """The base URL of a server."""
    if request.param == "demo":
        yield model.base_url
        return
    if os.environ.get("STRATA_TEST_LITELLM") != "1":
        pytest.skip("wants STRATA_TEST_LITELLM=1: make litellm")
    with litellm(tmp_path_factory.mktemp("litellm")) as url:
        yield url


@pytest.fixture
def prompt(server, make_client, run, settings, servers):
    """Run a prompt layer: `prompt(model="list", output="list")`."""
    client = make_client(openai_base_url=server, openai_api_key=KEY)
    broker.connect(replace(settings, redis_url=servers["REDIS_URL"]))

    class Tools:
        def ask(self, question):
            return client.ask(question, Asking(run, "a/0", 30.0, {}, Notebook(), 1))

        def history(self, channel):
            return History()

    def prompt(**settings):
        kind = kinds.kinds()["prompt"]
        loaded = kind.Settings().load({"kind": "prompt", "prompt": "Say something.", **settings})
        return kind.run(loaded, Scope({}), Tools())

    yield prompt
    broker.close()


def test_a_text_is_answered(prompt):
    answer = prompt(model="text", system="You are brief.", temperature=0.5, max_tokens=1000)

    assert answer.output.strip()
    assert answer.details == {"model": "default/text"}


@pytest.mark.parametrize(
    ("name", "output", "fits"),
    [
        ("list", "list", lambda found: all(isinstance(each, str) for each in found) and len(found) > 0),
        ("json", "json", lambda found: isinstance(found, dict)),
        ("json_schema", {"type": "json_schema", "schema": SCHEMA}, lambda found: found.keys() == {"title", "score"}),
    ],
    ids=["list", "json", "json_schema"],
)
def test_a_structured_answer_is_read(prompt, name, output, fits):
    answer = prompt(model=name, output=output)

    assert fits(answer.output)
    assert len(answer.calls) == 1


def test_the_usage_is_counted(prompt):
    usage = prompt(model="text").usage

    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert min(usage.prompt_tokens, usage.completion_tokens) > 0


def test_an_answer_has_the_provider_s_id(prompt):
    assert prompt(model="text").provider_response_id.startswith("chatcmpl-")


@pytest.mark.parametrize(
    ("name", "output"), [("text", "text"), ("json_schema", {"type": "json_schema", "schema": SCHEMA})]
)
def test_a_stream_comes_to_a_whole_answer_with_its_usage(prompt, name, output):
    answer = prompt(model=name, output=output, stream=True)

    assert answer.output
    assert answer.usage.completion_tokens > 0


def test_a_connection_is_used_again(prompt):
    assert [len(prompt(model="text").calls) for _ in range(3)] == [1, 1, 1]
