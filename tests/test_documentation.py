"""The documentation agrees with the code: settings, commands, layer kinds, reason codes, examples, metrics."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from prometheus_client.registry import REGISTRY

from api import cli
from api.routes import operations
from shared import definition, explanations, kinds, strict_yaml, transitions
from shared.settings import Settings
from tests.conftest import ROOT
from worker.providers import faults

README = (ROOT / "README.md").read_text()
DEFINITIONS = (ROOT / "docs/definitions.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
EVENTS = (ROOT / "docs/events.md").read_text()
MODELS = (ROOT / "docs/models.md").read_text()
OPERATORS = (ROOT / "deploy/README.md").read_text()
PAGES = {
    "README.md": README,
    "docs/definitions.md": DEFINITIONS,
    "docs/operations.md": OPERATIONS,
    "docs/events.md": EVENTS,
    "docs/environments.md": (ROOT / "docs/environments.md").read_text(),
    "docs/executions.md": (ROOT / "docs/executions.md").read_text(),
    "docs/batches.md": (ROOT / "docs/batches.md").read_text(),
    "docs/knowledge.md": (ROOT / "docs/knowledge.md").read_text(),
    "docs/models.md": MODELS,
    "docs/promptjuggler.md": (ROOT / "docs/promptjuggler.md").read_text(),
    "docs/streams.md": (ROOT / "docs/streams.md").read_text(),
    "docs/threads.md": (ROOT / "docs/threads.md").read_text(),
    "docs/tools.md": (ROOT / "docs/tools.md").read_text(),
    "deploy/README.md": OPERATORS,
}


def settings_table() -> str:
    """The table of settings as the README has it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for each in fields(Settings):
        default = _default(each.default)
        lines.append(f"| `{each.metadata['variable']}` | {default} | {each.metadata['meaning']} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{int(value) if isinstance(value, float) and value.is_integer() else value}`"


def reason_codes() -> set[str]:
    """Every reason code that the code can give."""
    found = {*faults._REASONS.values(), *faults._CODES.values()}
    for folder in ("worker", "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(_reasons(ast.parse(path.read_text())))
    for change in re.findall(r"\breason = (CASE .*? END|'\w+')", inspect.getsource(transitions), re.DOTALL):
        found |= set(re.findall(r"(?:THEN |^)'(\w+)", change))
    return found


def _reasons(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            named = [
                each
                for key, each in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "reason"
            ]
            yield from (each.value for each in named if isinstance(each, ast.Constant) and isinstance(each.value, str))
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        # `row["reason"]` reads one, and gives none.
        given = [
            each.value for each in node.keywords if each.arg == "reason" and not isinstance(each.value, ast.Subscript)
        ]
        if name in ("LayerFailed", "ProviderFault"):
            given += node.args[:1]
        for each in given:
            yield from (
                part.value for part in ast.walk(each) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"there is no section {heading}"
    return found[1]


def blocks(language: str) -> list[Any]:
    """Every block of a language in the pages, with its page and line as id."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [
        pytest.param(found[1], id=f"{page}:{text[: found.start()].count(chr(10)) + 1}")
        for page, text in PAGES.items()
        for found in pattern.finditer(text)
    ]


def first_cells(text: str) -> set[str]:
    """The codes in the first column of the tables in a text."""
    return {code for line in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE) for code in re.findall(r"`([^`]+)`", line)}


def test_settings_stand_in_the_readme():
    found = re.search(r"<!-- settings -->\n(.*?)\n?<!-- /settings -->", README, re.DOTALL)

    assert found[1] == settings_table()


def test_settings_named_anywhere_exist():
    local = {"STRATA_DATA_DIR", "STRATA_TEST_DATABASE_URL", "STRATA_TEST_REDIS_URL", "STRATA_URL", "STRATA_KEY"}
    known = {each.metadata["variable"] for each in fields(Settings)} | local
    named = {name for text in PAGES.values() for name in re.findall(r"\bSTRATA_[A-Z_]+\b", text)}

    assert named <= known


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {
        name
        for text in PAGES.values()
        for name in re.findall(r"(?:`|^(?:[A-Z_]+=\S+ )*)make ([a-z]+)", text, re.MULTILINE)
    }
    assert {"demo", "run", "test", "check"} <= named <= targets


@pytest.mark.parametrize(
    "line",
    sorted({
        line.strip()
        for text in PAGES.values()
        for line in re.findall(r"(?:^|`)(flask --app api\.app [^`\n]+)", text, re.MULTILINE)
    }),
)
def test_commands_exist(line):
    app = Flask("documentation")
    cli.install(app)
    words = line.removeprefix("flask --app api.app ").split()

    command: click.Command = app.cli
    while isinstance(command, click.Group) and words:
        command = command.commands[words.pop(0)]

    known = {option for each in command.params for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_processes_of_the_procfile_are_told():
    names = set(re.findall(r"^([a-z]+):", (ROOT / "Procfile").read_text(), re.MULTILINE))

    assert names == first_cells(section(OPERATIONS, "## Processes"))


@pytest.mark.parametrize("kind", sorted(kinds.kinds()))
def test_layer_kinds_have_a_section_with_every_setting(kind):
    told = section(DEFINITIONS, f"### `{kind}`")
    common = section(DEFINITIONS, "## Layer kinds").partition("###")[0]
    settings = set(kinds.kinds()[kind].Settings().fields)

    assert settings <= first_cells(told) | first_cells(common)
    assert "```yaml" in told


def test_layer_kinds_told_of_exist():
    assert set(re.findall(r"^### `(\w+)`", DEFINITIONS, re.MULTILINE)) == set(kinds.kinds())


@pytest.mark.parametrize(
    ("heading", "schema"),
    [("# Definitions", definition.DefinitionSchema()), ("## Inputs", definition.InputSchema())],
)
def test_fields_of_definitions_are_told(heading, schema):
    assert set(schema.fields) <= first_cells(section(DEFINITIONS, heading))


def test_causes_of_waiting_are_told():
    told = section((ROOT / "docs/executions.md").read_text(), "## Why it waits")

    assert {code for code in explanations.CODES if f"`{code}`" not in told} == set()


def test_reason_codes_are_told_and_no_others():
    assert first_cells(section(DEFINITIONS, "## Reason codes")) == reason_codes()


@pytest.mark.parametrize("source", blocks("yaml"))
def test_example_definitions_can_be_published(source):
    assert definition.read(strict_yaml.loads(source)).warnings == ()


def test_metrics_are_told():
    collected = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("strata_")}
    counters = {f"{name}_total" for name in collected if _is_counter(name)}
    gauges = {f"strata_queue_{name}" for name in operations._GAUGES} | set(operations._LATE)
    told = {name.partition("{")[0] for name in first_cells(section(OPERATIONS, "## Metrics"))}

    assert {name for name in told if name.startswith("strata_")} >= counters | gauges
    assert {name for name in collected if not _is_counter(name)} <= told


def _is_counter(name: str) -> bool:
    return any(metric.name == name and metric.type == "counter" for metric in REGISTRY.collect())


@pytest.mark.parametrize(
    ("page", "link"),
    [
        pytest.param(page, link, id=f"{page}: {link}")
        for page, text in {**PAGES, "CHANGELOG.md": (ROOT / "CHANGELOG.md").read_text()}.items()
        for link in re.findall(r"\]\((?!https?://)([^)]+)\)", text)
    ],
)
def test_links_lead_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page

    assert target.exists()
    assert not anchor or anchor in _anchors(target)


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
