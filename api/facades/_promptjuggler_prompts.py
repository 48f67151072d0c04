"""A version of a pipeline as the prompt that PromptJuggler knows: one question to a model, and its tools."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from shared import pipelines, structured
from shared.errors import NotFound
from shared.plan import Layer, Version

#: Finds what a tool names by its handle: the version of a pipeline, or the uuid of a folder; NotFound.
FindVersion = Callable[[str, str], Version]
FindFolder = Callable[[str], UUID]


def revision(found: Version, default_model: str, find_version: FindVersion, find_folder: FindFolder) -> dict[str, Any]:
    """The prompt whose answer a version gives; NotFound where it asks no model."""
    settings = _asking(found).settings
    messages = [*settings.get("messages", ())]
    if "prompt" in settings:
        messages.append({"role": "user", "content": settings["prompt"]})
    system = [settings.get("system"), *(each["content"] for each in messages if each["role"] == "system")]
    return {
        "id": str(found.uuid),
        "promptId": str(found.pipeline_uuid),
        "memory": found.plan.memory.mode,
        # Of the names that its clients know, the one whose wire every provider of ours speaks.
        "provider": "openai",
        "model": settings.get("model") or default_model,
        "modelParams": _params(settings),
        "responseFormat": _response_format(settings["output"]),
        "systemInstruction": "\n\n".join(each for each in system if each) or None,
        "messages": [
            {"role": each["role"], "content": each["content"]} for each in messages if each["role"] != "system"
        ],
        "tools": list(_tools(settings, find_version, find_folder)),
    }


def _asking(found: Version) -> Layer:
    output = found.plan.property(found.plan.output) if found.plan.output is not None else None
    asking = [layer for layer in output.layers if layer.kind == "prompt"] if output is not None else []
    if not asking:
        raise NotFound("prompt revision")
    return asking[-1]


def _params(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "maxCompletionTokens": settings.get("max_tokens"),
        "temperature": settings.get("temperature"),
        "topP": None,
        "verbosity": None,
        "reasoningEffort": None,
        "reasoningSummary": None,
        "serviceTier": None,
    }


def _response_format(output: Mapping[str, Any]) -> dict[str, Any]:
    sent = structured.response_format(output)
    if sent is None:
        return {"type": "text"}
    if sent["type"] == "json_object":
        return sent
    return {
        "type": "json_schema",
        "name": sent["json_schema"]["name"],
        "schema": json.dumps(structured.schema_of(output), ensure_ascii=False),
        "strict": sent["json_schema"]["strict"],
        "description": None,
    }


def _tools(settings: Mapping[str, Any], find_version: FindVersion, find_folder: FindFolder) -> Iterator[dict[str, Any]]:
    """The tools; one whose pipeline or folder is not there any more is none."""
    for tool in settings.get("tools", ()):
        try:
            yield _tool(tool, find_version, find_folder)
        except NotFound:
            continue


def _tool(tool: Mapping[str, Any], find_version: FindVersion, find_folder: FindFolder) -> dict[str, Any]:
    kind = tool["type"]
    if kind == "web_search":
        return {"type": kind, "allowedDomains": tool["allowed_domains"]}
    if kind == "mcp":
        return {"type": kind, "name": tool["name"], "url": tool["url"], **_mcp(tool)}
    named = {"name": tool["name"], "description": tool["description"], "failFast": tool["fail_fast"]}
    if kind == "knowledge":
        return {"type": "knowledge_search", **named, "knowledgeBaseId": str(find_folder(tool["folder"]))}
    if kind == "pipeline":
        return {**_reference(tool, find_version), **named}
    schema = {"paramsSchema": json.dumps(tool["params_schema"], ensure_ascii=False)}
    if kind == "emit":
        return {"type": kind, **named, **schema}
    headers = [{"key": name, "value": text} for name, text in tool["headers"].items()]
    return {"type": kind, **named, **schema, "url": tool["url"], "method": tool["method"], "headers": headers}


def _mcp(tool: Mapping[str, Any]) -> dict[str, Any]:
    token = tool["authorization_token"]
    # One that is written out is nobody's business.
    return {"authorizationToken": token if token and "${" in token else None, "allowedTools": tool["allowed_tools"]}


def _reference(tool: Mapping[str, Any], find_version: FindVersion) -> dict[str, Any]:
    version = tool["version"]
    found = find_version(tool["handle"], version)
    name = "__latest__" if version in pipelines.LATEST else int(version) if version.isdecimal() else version
    kind = "workflow" if found.plan.output is None else "prompt"
    return {"type": kind, "versionRef": {"definitionId": str(found.pipeline_uuid), "idOrTag": name}}
