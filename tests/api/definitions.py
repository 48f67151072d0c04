"""Definitions that the tests of the API publish, each as small as what it is for."""

from typing import Any

from shared.report import Report

#: One property, one layer, one required input.
REVIEW: dict[str, Any] = {
    "inputs": [{"name": "film", "required": True}],
    "properties": [{"name": "review", "layers": [{"kind": "prompt", "prompt": "Review {{film}}."}]}],
}


def asks(*prompts: str, name: str = "answer", **settings: Any) -> dict[str, Any]:
    """A property with one prompt layer for each prompt."""
    return {"name": name, "layers": [{"kind": "prompt", "prompt": each, **settings} for each in prompts]}


def pipeline(*properties: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A definition of these properties."""
    return {"properties": list(properties), **settings}


def node_ids(report: Report) -> dict[str, int]:
    """The integer ids of a report's properties and layers, by name and path."""
    return {each.name: each.id for each in report.properties} | {
        layer.path: layer.id for each in report.properties for layer in each.layers
    }
