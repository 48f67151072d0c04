"""Definitions that the end-to-end tests publish; how the model behaves stands in the names of their models."""

from typing import Any


def chain(*models: str) -> dict[str, Any]:
    """One property with a layer for each model; the layers are called `one`, `two`, …"""
    names = ("one", "two", "three")[: len(models)]
    layers = [
        {"kind": "prompt", "name": name, "model": model, "prompt": f"{name}: {{{{film}}}}"}
        for name, model in zip(names, models, strict=True)
    ]
    return {"inputs": [{"name": "film"}], "properties": [{"name": "review", "layers": layers}]}
