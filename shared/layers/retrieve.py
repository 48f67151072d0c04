"""Looks into the organization's knowledge for the chunks of documents that fit a question best."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from shared import rendering
from shared.kinds import LayerSettings, References, Template, Whole
from shared.outside import Scope, Tools
from shared.plan import Answer

KIND = "retrieve"


class Texts(Template):
    """A list of texts; one that is a reference alone may stand for a list of them."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {"type": "array", "items": {"type": "string"}, "maxItems": 50}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise ValidationError("must be a list of texts")
        if len(value) > 50:
            raise ValidationError("Longer than maximum length 50.")
        return value


class Settings(LayerSettings):
    """Settings of a `retrieve` layer."""

    query = References(
        required=True,
        validate=validate.Length(min=1),
        metadata={"description": "The question, or any words; of a long one the first 8,000 characters count."},
    )
    folder = References(
        validate=validate.Length(min=1),
        metadata={"description": "The handle of the folder to look in; all of them without `folder` and `folders`."},
    )
    folders = Texts(metadata={"description": "The handles of several folders."})
    tags = Texts(load_default=list, metadata={"description": "Only documents that have all of these tags."})
    limit = Whole(load_default=5, validate=validate.Range(min=1, max=100), metadata={"description": "Chunks at most."})
    max_tokens = Whole(
        validate=validate.Range(min=1),
        metadata={
            "description": "About how many tokens the chunks may have in all; those that fit least are left out."
        },
    )
    output = fields.String(
        load_default="json",
        validate=validate.OneOf(["json", "text"]),
        metadata={"description": "A list of objects; or one text, each chunk under the name of its document."},
    )

    @validates_schema
    def _names_folders_once(self, settings: Mapping[str, Any], **_: Any) -> None:
        if "folder" in settings and "folders" in settings:
            raise ValidationError("does not go with `folder`", "folders")


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Search; an empty list, or an empty text, where nothing fits. LayerFailed for a folder that is not there."""
    folders = _filled([settings["folder"]] if "folder" in settings else settings.get("folders", []), scope)
    found = tools.search(
        folders, scope.render(settings["query"]), settings["limit"], tags=_filled(settings["tags"], scope)
    )
    kept = _within(found, settings.get("max_tokens"))
    details = {"chunks": len(kept), "left_out": len(found) - len(kept)}
    return Answer(kept if settings["output"] == "json" else _told(kept), details=details)


def _filled(texts: list[str], scope: Scope) -> list[str]:
    values = scope.fill(texts)
    return [rendering.as_text(each) for value in values for each in (value if isinstance(value, list) else [value])]


def _within(found: list[dict[str, Any]], most: int | None) -> list[dict[str, Any]]:
    """As many of the best as go into a number of tokens."""
    kept: list[dict[str, Any]] = []
    left = most
    for each in found:
        if left is not None:
            left -= each["tokens"]
            if left < 0:
                break
        kept.append(each)
    return kept


def _told(found: list[dict[str, Any]]) -> str:
    return "\n\n".join(f"[{place}] {_source(each)}\n{each['text']}" for place, each in enumerate(found, 1))


def _source(found: Mapping[str, Any]) -> str:
    page = f", page {found['page']}" if found["page"] is not None else ""
    heading = f": {found['heading']}" if found["heading"] else ""
    return f"{found['name']}{page}{heading}"
