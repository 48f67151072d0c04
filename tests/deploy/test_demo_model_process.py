"""The demo model as a process of its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_announces_itself_serves_and_stops_cleanly(tmp_path, number):
    command = [sys.executable, "-m", "deploy.demo_model", "--port", "0"]
    files = ["--announce", str(tmp_path / "url"), "--log", str(tmp_path / "log")]
    with subprocess.Popen([*command, *files], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with OpenAI(base_url=url, api_key="sk", max_retries=0) as client:
            client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "hi"}])
        process.send_signal(number)

        assert process.wait(timeout=10) == 0

    assert (tmp_path / "url").read_text().strip() == url
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_help_explains_every_option():
    shown = subprocess.run(
        [sys.executable, "-m", "deploy.demo_model", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    for option in ("--host", "--port", "--log", "--latency-ms", "--seed", "--announce"):
        assert option in shown
