"""Runs another pipeline inside of this one; its document is the output."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from shared.kinds import HANDLE, CompositeSettings, Template
from shared.outside import Scope, Tools
from shared.plan import Answer, Reference

KIND = "pipeline"
LATEST = "latest"


def _is_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError("must be an object")


class Version(fields.String):
    """A version by its number, one of its tags, its uuid, or `latest`."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "default": LATEST,
        "oneOf": [{"type": "string", "minLength": 1, "maxLength": 64}, {"type": "integer", "minimum": 1}],
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Settings(CompositeSettings):
    """Settings of a `pipeline` layer."""

    handle = fields.String(
        required=True, validate=validate.Regexp(HANDLE), metadata={"description": "The pipeline's handle."}
    )
    version = Version(
        load_default=LATEST,
        validate=validate.Length(min=1, max=64),
        metadata={"description": "A number, a tag, a uuid, or `latest`; as it stands when an execution is accepted."},
    )
    inputs = Template(
        load_default=dict,
        validate=_is_object,
        metadata={
            "description": "Its inputs by name: any JSON with references in its texts. A text that is one reference"
            " and nothing else hands over the value itself."
        },
    )


def pipeline(settings: Mapping[str, Any]) -> Reference | None:
    """The pipeline that a layer runs, None where its settings, which may be unchecked, do not say."""
    handle, version = settings.get("handle"), settings.get("version", LATEST)
    if not isinstance(handle, str) or isinstance(version, bool) or not isinstance(version, str | int):
        return None
    return Reference(handle, str(version))


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Run it; LayerFailed where it fails, or its inputs do not fit."""
    return Answer(tools.pipeline(settings["handle"], settings["version"], scope.fill(settings["inputs"])))
