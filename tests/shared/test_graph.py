import pytest

from shared import graph


def definition(*properties, inputs=(), output=None):
    """A definition of properties written as `("name", "text", …)`; a text `name=…` names the layer."""

    def layer(text):
        name, _, prompt = text.rpartition("=")
        return {"kind": "prompt", "prompt": prompt} | ({"name": name} if name else {})

    listed = [{"name": name, "layers": [layer(text) for text in texts]} for name, *texts in properties]
    return {"inputs": [{"name": name} for name in inputs], "properties": listed, "output": output}


def faults(*properties, **details):
    found = graph.faults(graph.sketch(definition(*properties, **details)))
    return [(fault.field, fault.code) for fault in found]


def test_names_that_are_known_are_no_fault():
    assert not faults(
        ("a", "first={{film}}", "second={{first}} {{previous}}", "{{second}} {{first}} {{film.title}}"),
        ("b", "{{a[0].x}}"),
        inputs=["film"],
        output="b",
    )


@pytest.mark.parametrize("text", ["{{nobody}}", "{{nobody.x}}", "{{nobody[0]}}", "{{later}}", "{{previous}}"])
def test_a_name_that_cannot_be_reached_is_a_fault_at_its_text(text):
    assert faults(("a", text, "later=x")) == [("properties[0].layers[0].prompt", "unknown")]


def test_a_layer_of_another_property_cannot_be_reached():
    assert faults(("a", "inner=x"), ("b", "{{inner}}")) == [("properties[1].layers[0].prompt", "unknown")]


def test_a_layer_cannot_reach_itself():
    assert faults(("a", "x", "self={{self}}")) == [("properties[0].layers[1].prompt", "unknown")]


@pytest.mark.parametrize(
    ("properties", "details", "places"),
    [
        ([("a", "x"), ("a", "y")], {}, ["properties[0].name", "properties[1].name"]),
        ([("a", "x")], {"inputs": ["a"]}, ["inputs[0].name", "properties[0].name"]),
        ([("a", "x")], {"inputs": ["b", "b"]}, ["inputs[0].name", "inputs[1].name"]),
        ([("a", "b=x"), ("b", "y")], {}, ["properties[0].layers[0].name"]),
        ([("a", "b=x")], {"inputs": ["b"]}, ["properties[0].layers[0].name"]),
        ([("a", "l=x", "l=y")], {}, ["properties[0].layers[1].name"]),
    ],
)
def test_names_that_clash_are_faults(properties, details, places):
    assert faults(*properties, **details) == [(place, "duplicate") for place in places]


@pytest.mark.parametrize(
    ("properties", "details", "place"),
    [
        ([("previous", "x")], {}, "properties[0].name"),
        ([("a", "x")], {"inputs": ["previous"]}, "inputs[0].name"),
        ([("a", "previous=x")], {}, "properties[0].layers[0].name"),
    ],
)
def test_previous_is_reserved(properties, details, place):
    assert faults(*properties, **details) == [(place, "invalid")]


def test_a_layer_may_have_the_name_of_its_own_property():
    assert not faults(("a", "a=x", "{{a}}"), ("b", "{{a}}"))


def test_layers_of_two_properties_may_have_the_same_name():
    assert not faults(("a", "draft=x", "{{draft}}"), ("b", "draft=y", "{{draft}}"))


@pytest.mark.parametrize(
    "properties",
    [
        [("a", "{{a}}")],
        [("a", "{{b}}"), ("b", "{{a}}")],
        [("a", "{{c}}"), ("b", "{{a}}"), ("c", "x", "{{b}}")],
    ],
)
def test_properties_that_wait_for_each_other_are_a_fault(properties):
    ((place, code),) = faults(*properties)

    assert (place.startswith("properties["), code) == (True, "invalid")


def test_a_cycle_is_named():
    (fault,) = graph.faults(graph.sketch(definition(("a", "{{b}}"), ("b", "{{a}}"))))

    assert fault.message in ("properties wait for each other: a → b → a", "properties wait for each other: b → a → b")


def test_an_output_that_names_no_property_is_a_fault():
    assert faults(("a", "x"), inputs=["film"], output="film") == [("output", "unknown")]


def test_what_a_property_needs_leaves_its_own_layers_out():
    node = graph.sketch(definition(("a", "l={{x}}", "{{l}} {{previous}} {{y.z}}"))).properties[0]

    assert graph.needs(node) == {"x", "y"}


@pytest.mark.parametrize(
    "source",
    [None, 7, [], {"inputs": "x", "properties": 7}, {"inputs": [None, {"name": 7}], "properties": [[], {"layers": 7}]}],
)
def test_a_sketch_of_nonsense_has_no_faults(source):
    assert not list(graph.faults(graph.sketch(source)))
