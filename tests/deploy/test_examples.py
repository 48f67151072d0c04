"""The examples are what people copy: each is a good definition, and the demo has inputs for each."""

import pytest

from deploy.local import tour
from shared import definition, inputs, kinds, strict_yaml

FILES = sorted(tour.EXAMPLES.glob("*.yaml"))
GIVEN = strict_yaml.loads(tour.INPUTS.read_text(encoding="utf-8"))


def source(file):
    return strict_yaml.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_is_a_definition_without_warnings(file):
    found = definition.read(source(file))

    assert found.warnings == ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_example_says_what_it_is(file):
    found = source(file)

    assert found["handle"] == file.stem
    assert found["name"]
    assert found["description"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_inputs_of_the_demo_bind(file):
    plan = definition.read(source(file)).plan

    assert inputs.bind(plan, GIVEN[file.stem].items())[1] == []


def test_the_demo_gives_inputs_to_examples_only():
    assert set(GIVEN) == {file.stem for file in FILES}


def test_every_kind_of_layer_is_shown():
    shown = {layer["kind"] for file in FILES for each in source(file)["properties"] for layer in each["layers"]}

    assert shown == set(kinds.kinds())


def test_every_output_of_a_prompt_is_shown():
    layers = [layer for file in FILES for each in source(file)["properties"] for layer in each["layers"]]
    outputs = [layer.get("output", "text") for layer in layers if layer["kind"] == "prompt"]

    types = {output["type"] if isinstance(output, dict) else output for output in outputs}
    assert types == {"text", "list", "json", "json_schema"}


def test_every_type_of_input_is_shown():
    types = {each.get("type", "string") for file in FILES for each in source(file)["inputs"]}

    assert types == set(inputs.TYPES)
