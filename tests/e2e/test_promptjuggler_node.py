"""The vendor's clients for servers and browsers in JavaScript, against the Procfile's processes.

They come from npm, so this runs only where Node is there and STRATA_TEST_NPM is set.
"""

import json
import os
import shutil
import subprocess

import pytest

from tests.e2e.conftest import ROOT
from tests.factories import prompt_layer, source

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not os.environ.get("STRATA_TEST_NPM") or shutil.which("npm") is None, reason="wants npm and STRATA_TEST_NPM=1"
    ),
]
PACKAGES = ("@promptjuggler/sdk@1.4.0", "@promptjuggler/browser@0.4.0")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
EMIT = {"type": "emit", "name": "show", "params_schema": SCHEMA}
INPUTS = [{"name": "topic"}]
DEFINITIONS = {
    "plain": source(prompt_layer("Speak of {{topic}}.", model="demo:pace=5", stream=True), output="answer"),
    "whole": source(prompt_layer("Speak of {{topic}}."), output="answer"),
    "tools": source(prompt_layer("Show {{topic}}.", tools=[EMIT], stream=True), output="answer"),
    "chain": source(prompt_layer("A {{topic}}."), prompt_layer("Say {{previous}}."), output="answer"),
    "again": source(
        prompt_layer("B {{topic}}.", model="demo:status=500,times=1", retry={"attempts": 2}), output="answer"
    ),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory, api_url):
    """Install the clients; run the script with a key, and read what it says."""
    folder = tmp_path_factory.mktemp("node")
    subprocess.run(["npm", "install", "--silent", *PACKAGES], cwd=folder, check=True, timeout=120)
    script = shutil.copy(ROOT / "tests/e2e/promptjuggler_clients.mjs", folder)

    def told(key, *slugs):
        command = ["node", script, api_url, key, *slugs]
        return json.loads(subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout)

    return told


def test_a_browser_has_word_for_word_what_the_server_has(told, http, start):
    start("worker")
    http.put("/v2/knowledge/folders/manuals", json={"name": "Manuals"}).raise_for_status()
    for handle, definition in DEFINITIONS.items():
        http.put(f"/v2/pipelines/{handle}", json={**definition, "inputs": INPUTS}).raise_for_status()

    found = told(http.headers["Authorization"].removeprefix("Bearer "), *DEFINITIONS)

    for each in found["found"]:
        assert (each["live"]["status"], each["live"]["gapped"], each["run"]["status"]) == ("done", False, "completed")
        assert each["live"]["transcript"] == each["run"]["transcript"], each["slug"]
        assert each["live"]["text"] == each["run"]["output"], each["slug"]
    assert found["error"] == {"status": 404, "message": "Prompt revision not found"}
    assert (found["document"]["fileName"], found["base"]["documentCount"]) == ("a.txt", 1)
