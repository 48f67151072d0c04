"""Runs another pipeline of the organization; the model gives its inputs, and reads its output."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from shared.kinds import HANDLE
from shared.layers import pipeline as layers
from shared.outside import Scope, Tools
from shared.plan import Input, Reference
from shared.toolbox import Function, FunctionSettings, one

TYPE = "pipeline"


class Settings(FunctionSettings):
    """Settings of a `pipeline` tool."""

    handle = fields.String(
        required=True, validate=validate.Regexp(HANDLE), metadata={"description": "The pipeline's handle."}
    )
    version = layers.Version(
        load_default=layers.LATEST,
        validate=validate.Length(min=1, max=64),
        metadata={"description": "A number, a tag, a uuid, or `latest`; as it stands when an execution is accepted."},
    )


def pipeline(settings: Mapping[str, Any]) -> Reference | None:
    """The pipeline that it runs, None where its settings, which may be unchecked, do not say."""
    return layers.pipeline(settings)


def functions(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> list[Function]:
    """The one that it is, taking the inputs that the pipeline declares."""
    return one(settings, _parameters(tools.declared(settings["handle"], settings["version"])))


def call(function: Function, arguments: Mapping[str, Any], scope: Scope, tools: Tools) -> Any:
    """Its document; LayerFailed where it fails, or its inputs do not fit."""
    return tools.pipeline(function.tool["handle"], function.tool["version"], arguments)


def _parameters(inputs: tuple[Input, ...]) -> dict[str, Any]:
    described = {
        each.name: {"type": each.type, **({"description": each.description} if each.description else {})}
        for each in inputs
    }
    required = [each.name for each in inputs if each.required and each.default is None]
    return {"type": "object", "properties": described, "required": required, "additionalProperties": False}
