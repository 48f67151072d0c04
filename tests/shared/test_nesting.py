"""Pipelines inside of pipelines: which versions they are, and what is refused."""

import pytest

from shared import db, definition, pipelines
from shared.errors import Invalid
from tests import factories

LEAF = {
    "inputs": [{"name": "film", "required": True}],
    "properties": [{"name": "a", "layers": [{"kind": "text", "value": "x"}]}],
}


def runs(handle, version="latest", **inputs):
    layer = {"kind": "pipeline", "handle": handle, "version": version, "inputs": inputs}
    return {"properties": [{"name": "a", "layers": [layer]}]}


def mapped(handle):
    inner = runs(handle, film="{{item}}")["properties"][0]["layers"]
    return {
        "inputs": [{"name": "films", "type": "array"}],
        "properties": [{"name": "a", "layers": [{"kind": "map", "items": "{{films}}", "layers": inner}]}],
    }


@pytest.fixture
def published(organization):
    """Publish a definition under a handle; returns the version."""

    def published(handle, source):
        with db.transaction() as connection:
            found = pipelines.publish(connection, organization, handle, definition.read(source))
            return pipelines.version(connection, found.version_id)

    return published


def pinned(organization, version):
    with db.autocommit() as connection:
        return pipelines.pins(connection, organization, version)


def faults(publish, handle, source):
    with pytest.raises(Invalid) as caught:
        publish(handle, source)
    return [(fault.field, fault.code) for fault in caught.value.faults]


def test_what_runs_inside_is_pinned_however_deep(organization, published):
    leaf = published("leaf", LEAF)
    middle = published("middle", runs("leaf", film="x"))
    top = published("top", mapped("leaf") | {"name": "top"})
    outer = published("outer", runs("middle"))

    assert pinned(organization, outer) == {"middle@latest": middle.id, "leaf@latest": leaf.id}
    assert pinned(organization, top) == {"leaf@latest": leaf.id}


def test_a_pipeline_without_others_inside_pins_nothing(organization, published):
    assert pinned(organization, published("leaf", LEAF)) == {}


def test_an_execution_keeps_the_versions_of_the_moment_it_was_accepted(organization, published):
    leaf = published("leaf", LEAF)
    published("pipeline", runs("leaf", film="x"))

    factories.accept(organization)
    published("leaf", LEAF | {"name": "another"})

    assert factories.claim().pins == {"leaf@latest": leaf.id}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (runs("nobody"), [("properties[0].layers[0].handle", "unknown")]),
        (runs("leaf", "nothing", film="x"), [("properties[0].layers[0].version", "unknown")]),
        (runs("leaf"), [("properties[0].layers[0].inputs.film", "missing")]),
        (runs("leaf", film="x", other="y"), [("properties[0].layers[0].inputs.other", "unknown")]),
        (runs("top", film="x"), [("properties[0].layers[0]", "invalid")]),
        (mapped("nobody"), [("properties[0].layers[0].layers[0].handle", "unknown")]),
    ],
)
def test_publishing_names_what_does_not_fit_at_its_place(published, source, expected):
    published("leaf", LEAF)

    assert faults(published, "top", source) == expected


def test_a_ring_of_pipelines_is_refused(published):
    published("a", LEAF)
    published("b", runs("a", film="x"))
    published("c", runs("b"))

    assert faults(published, "a", runs("c")) == [("properties[0].layers[0]", "invalid")]


def test_pipelines_are_not_inside_of_each_other_without_end(published):
    published("p0", LEAF)
    published("p1", runs("p0", film="x"))
    for number in range(2, 9):
        published(f"p{number}", runs(f"p{number - 1}"))

    assert faults(published, "p9", runs("p8"))


def test_what_went_wrong_since_is_told_when_an_execution_is_asked_for(organization, published):
    published("leaf", LEAF)
    published("pipeline", runs("leaf", film="x"))
    published("leaf", LEAF | {"inputs": [{"name": "other", "required": True}]})

    with pytest.raises(Invalid) as caught:
        factories.accept(organization)

    assert {fault.field for fault in caught.value.faults} == {"version"}
