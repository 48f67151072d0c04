"""PromptJuggler's answers as its strictest clients check them: no key that they do not know, none missing, exact types.

A table has, for each key, what its value must be; a key that ends with `?` may be absent or null.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

Check = Callable[[Any], bool]


def uuid(value: Any) -> bool:
    """A UUID as a text."""
    return isinstance(value, str) and str(UUID(value)) == value


def moment(value: Any) -> bool:
    """An RFC 3339 time in UTC."""
    return isinstance(value, str) and value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None


def text(value: Any) -> bool:
    """A text."""
    return isinstance(value, str)


def whole(value: Any) -> bool:
    """An integer, and no boolean."""
    return type(value) is int


def number(value: Any) -> bool:
    """A number, and no boolean."""
    return type(value) in (int, float)


def flag(value: Any) -> bool:
    """A boolean."""
    return isinstance(value, bool)


def anything(value: Any) -> bool:
    """Any JSON."""
    return True


def objects(value: Any) -> bool:
    """An object."""
    return isinstance(value, dict)


def one_of(*values: str) -> Check:
    """One of a closed list."""
    return lambda found: found in values


MODEL_COST = dict.fromkeys(("input", "cachedInput", "cacheWrite", "output", "webSearch", "total"), number)
CITATION = {"title": text, "url": text}
NAMED = {"name": text, "description?": text, "failFast": flag}
SHAPES: dict[str, dict[str, Any]] = {
    "Created": {"id": uuid, "thread": uuid},
    "PromptRun": {
        "id": uuid, "status": one_of("pending", "completed", "failed"), "createdAt": moment, "finishedAt?": moment,
        "output?": text, "emitted": ["Emitted"], "transcript": ["TranscriptItem"], "error?": text,
        "tokenUsage?": "TokenUsage", "cost?": "RunCost",
    },
    "WorkflowRun": {
        "id": uuid, "status": one_of("pending", "completed", "failed"), "createdAt": moment, "finishedAt?": moment,
        "outputs": objects, "errors": [text], "tokenUsage?": "TokenUsage", "cost?": "RunCost",
    },
    "TokenUsage": {**dict.fromkeys(("input", "inputCached", "output", "reasoning", "total"), whole),
                   "serviceTier?": text},
    "RunCost": {"success": "ModelCost", "retries": "ModelCost", "total": number},
    "ModelCost": MODEL_COST,
    "Citation": CITATION,
    "Emitted": {"tool": text, "payload": objects},
    "TranscriptItem.text": {"type": text, "content": text, "citations": ["Citation"]},
    "TranscriptItem.tool": {"type": text, "name": text, "status": one_of("ok", "error", "pending"), "queries": [text],
                            "citations": ["Citation"]},
    "TranscriptItem.data": {"type": text, "tool": text, "payload": anything},
    "PromptRevision": {
        "id": uuid, "promptId": uuid, "memory": one_of("stateless", "read_only", "read_write", "write_only"),
        "provider": one_of("openai", "gemini", "anthropic"), "model": text, "modelParams": "ModelParams",
        "responseFormat": "ResponseFormat", "systemInstruction?": text, "messages": ["Message"], "tools": ["Tool"],
    },
    "ModelParams": {"maxCompletionTokens?": whole, "temperature?": number, "topP?": number, "verbosity?": text,
                    "reasoningEffort?": text, "reasoningSummary?": flag, "serviceTier?": text},
    "ResponseFormat.text": {"type": text},
    "ResponseFormat.json_object": {"type": text},
    "ResponseFormat.json_schema": {"type": text, "name": text, "schema": text, "strict": flag, "description?": text},
    "Message": {"role": one_of("user", "assistant"), "content": text},
    "Tool.web_search": {"type": text, "allowedDomains?": [text]},
    "Tool.http": {"type": text, "url": text, "method": one_of("GET", "POST", "PUT", "PATCH", "DELETE"),
                  "headers": ["Header"], "paramsSchema": text, **NAMED},
    "Tool.mcp": {"type": text, "name": text, "url": text, "authorizationToken?": text, "allowedTools?": [text]},
    "Tool.prompt": {"type": text, "versionRef": "VersionRef", **NAMED},
    "Tool.workflow": {"type": text, "versionRef": "VersionRef", **NAMED},
    "Tool.knowledge_search": {"type": text, "knowledgeBaseId": uuid, **NAMED},
    "Tool.emit": {"type": text, "paramsSchema": text, **NAMED},
    "Header": {"key": text, "value": text},
    "VersionRef": {"definitionId": uuid, "idOrTag": lambda value: whole(value) or text(value)},
    "KnowledgeBase": {"id": uuid, "status": one_of("pending", "ready", "failed"), "documentCount": whole,
                      "chunkCount": whole, "documents": ["DocumentSummary"]},
    "DocumentSummary": {"id": uuid, "status": one_of("pending", "sealed", "ready", "failed"), "fileName": text,
                        "bytes": whole, "mimeType": text},
    "KnowledgeDocument": {"id": uuid, "status": one_of("pending", "sealed", "ready", "failed"), "fileName": text,
                          "bytes": whole, "chunkCount": whole},
    "StreamToken": {"token": text, "expiresAt": moment, "url": text},
    "Error": {"error": text},
}  # fmt: skip


def wrong(name: str, found: Any, place: str = "") -> Iterator[str]:
    """What of an answer is not as a shape has it."""
    if name in ("TranscriptItem", "Tool", "ResponseFormat"):
        name = f"{name}.{found['type']}"
    shape = {key.removesuffix("?"): (check, key.endswith("?")) for key, check in SHAPES[name].items()}
    yield from (f"{place}.{key} is unknown" for key in found.keys() - shape.keys())
    for key, (check, optional) in shape.items():
        if key not in found and not optional:
            yield f"{place}.{key} is missing"
        elif found.get(key) is not None:
            yield from _wrong_value(check, found[key], f"{place}.{key}")
        elif not optional:
            yield f"{place}.{key} is null"


def _wrong_value(check: Any, found: Any, place: str) -> Iterator[str]:
    if isinstance(check, list):
        for index, each in enumerate(found):
            yield from _wrong_value(check[0], each, f"{place}[{index}]")
    elif isinstance(check, str):
        yield from wrong(check, found, place)
    elif not check(found):
        yield f"{place} is {found!r}"
