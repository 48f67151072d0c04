"""How our schemas stand in the OpenAPI document: their names, the fields of our own, what clients may rely on."""

from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from api import schemas
from shared import kinds, toolbox
from shared.kinds import References


def teach(converter: Any) -> None:
    """Teach apispec's converter, once it has a document, the fields of our own."""
    for function in (_layer_kinds, _own_shape, _sized_object):
        converter.add_attribute_function(function)


def finish(document: dict[str, Any], texts: dict[str, str]) -> None:
    """Say of the finished document's schemas what apispec cannot know; `texts` are their descriptions by name."""
    found = document["components"]["schemas"]
    for each, text in texts.items():
        found[each]["description"] = text
    _name_kinds(found)
    _open_answers(document)


def name(schema: Any) -> str:
    """The name of a schema, by whose it is: `Execution`, `PromptLayer`, `DefinitionInput`, `DiscuroStarted`."""
    found = schema if isinstance(schema, type) else type(schema)
    module = found.__module__.rpartition(".")[2].strip("_")
    if found.__module__.startswith(f"{schemas.__name__}."):
        return str(found.__name__)
    if issubclass(found, kinds.LayerSettings):
        return f"{module.capitalize()}Layer"
    if issubclass(found, toolbox.ToolSettings):
        return "".join(part.capitalize() for part in module.split("_")) + "Tool"
    owner = module.partition("_")[0].capitalize()
    return owner + str(found.__name__).removeprefix(owner).removesuffix("Schema")


def _layer_kinds(self: Any, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    """A layer is one of its kinds, as `kind` says, and a tool one of its types; called by apispec for each field."""
    for own, said, modules in ((kinds.LayerField, "kind", kinds.kinds()), (toolbox.ToolField, "type", toolbox.types())):
        if isinstance(field, own):
            found = {name: self.resolve_nested_schema(each.Settings) for name, each in sorted(modules.items())}
            mapping = {name: reference["$ref"] for name, reference in found.items()}
            return {"oneOf": list(found.values()), "discriminator": {"propertyName": said, "mapping": mapping}}
    return {}


def _own_shape(self: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What a field of ours says of its own shape, and that a text may hold references."""
    if isinstance(field, References):
        text = "May hold `{{references}}`."
        return {"description": f"{ret['description']} {text}" if "description" in ret else text}
    return dict(getattr(field, "json_schema", {}))


def _sized_object(self: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """The size of an object is told by its properties; apispec tells it as that of a text."""
    if not isinstance(field, fields.Dict):
        return {}
    names = {"minLength": "minProperties", "maxLength": "maxProperties"}
    return {names[each]: ret.pop(each) for each in names if each in ret}


def _name_kinds(found: dict[str, Any]) -> None:
    """Narrow `kind` and `type` of each one's settings to its own, so that exactly one fits a layer, or a tool."""
    for kind, module in kinds.kinds().items():
        found[name(module.Settings)]["properties"]["kind"]["const"] = kind
    for kind, module in toolbox.types().items():
        found[name(module.Settings)]["properties"]["type"]["const"] = kind


def _open_answers(found: dict[str, Any]) -> None:
    """Let the schemas that only answers use have further properties: a client must not break on a new one."""
    asked = [
        each["requestBody"] for paths in found["paths"].values() for each in paths.values() if "requestBody" in each
    ]
    components = found["components"]["schemas"]
    strict: set[str] = set()
    names = set(_referred(asked))
    while names - strict:
        strict |= names
        names |= {inner for each in names for inner in _referred(components[each])}
    for each in components.keys() - strict:
        components[each].pop("additionalProperties", None)


def _referred(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"].rpartition("/")[2]
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from _referred(each)
