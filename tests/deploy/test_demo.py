"""The demo, from nothing to its exit code."""

import re
import signal

import pytest

from deploy.local import tour
from deploy.local.page import pretty
from tests.deploy.local_helpers import command

HANDLES = [file.stem for file in sorted(tour.EXAMPLES.glob("*.yaml"))]


@pytest.mark.e2e
def test_demo_executes_every_example_over_every_wire(tmp_path):
    with command("demo", "--data-dir", tmp_path, "--latency-ms", 20, OPENAI_API_KEY="") as child:
        said = child.communicate(timeout=120)[0]

    total = len(HANDLES) * len(tour.WIRES)
    assert child.returncode == 0, said
    assert [line.split()[0] for line in said.splitlines() if line.startswith(tuple(HANDLES))] == HANDLES
    assert [len(re.findall(rf"^ +{wire} +passed", said, re.MULTILINE)) for wire in tour.WIRES] == [len(HANDLES)] * 3
    assert f"{total} of {total} executions passed" in said
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_demo_names_what_failed_and_keeps_the_logs(tmp_path):
    url = "http://127.0.0.1:9/v1"
    with command("demo", "--data-dir", tmp_path, OPENAI_BASE_URL=url) as child:
        said = child.communicate(timeout=120)[0]

    assert child.returncode == 1
    assert f"using the models of {url}" in said
    assert "failed: film-reviews (native)" in said
    assert "provider_unreachable" in said
    assert "failed: article-slug" not in said
    [log] = tmp_path.glob("*/processes.log")
    assert str(log) in said


@pytest.mark.e2e
def test_demo_leaves_nothing_when_it_is_interrupted(tmp_path):
    with command("demo", "--data-dir", tmp_path) as child:
        while "starting web" not in child.stdout.readline():
            pass
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[0]

    assert child.returncode == 130
    assert said.endswith("stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_demo_says_which_process_died(tmp_path):
    (tmp_path / "Procfile").write_text("web: sleep 600\nworker: exit 3\n")

    with command("demo", "--data-dir", tmp_path, "--procfile", tmp_path / "Procfile") as child:
        said = child.communicate(timeout=60)[0]

    assert child.returncode == 1
    assert "strata: worker died" in said


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ("text", ['"text"']),
        ({"a": 1}, ['{"a": 1}']),
        ([], ["[]"]),
        ({"long": "x" * 12, "b": [1]}, ["{", '  "long": "xxxxxxxxxxxx",', '  "b": [1]', "}"]),
        ([["x" * 9, "y" * 9]], ["[", "  [", f'    "{"x" * 9}",', f'    "{"y" * 9}"', "  ]", "]"]),
        ([1, 2, 3, 4, 5, 6], ["[", "  1,", "  2,", "  3,", "  4,", '  "… and 2 more"', "]"]),
    ],
)
def test_answers_are_laid_out_within_a_width(found, lines):
    assert pretty(found, 20) == lines


def test_long_texts_are_cut():
    [line] = pretty("word " * 100)

    assert line.endswith('…"')
    assert len(line) < 100
