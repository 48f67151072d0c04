"""What a model says beside its text: which functions it wants to have called, and what it has read in the web."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.demo_model import instances
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.prompt import Prompt

_PIECE_CHARACTERS = 12
_MOST = 4


def calls(body: Mapping[str, Any], prompt: Prompt, behaviour: Behaviour) -> list[dict[str, Any]]:
    """The calls of functions that are to be made for a request, as OpenAI writes them. Raises Refused.

    Without being scripted they are made once for what a user says, of the first functions that are offered, or of those
    among them that the behaviour names.
    """
    offered = {each["function"]["name"]: each["function"] for each in _functions(body)}
    wanted = behaviour.calls
    if not wanted and offered and behaviour.answer is None and behaviour.mode is None:
        wanted = tuple((name, None) for name in list(offered)[:_MOST])
    if wanted and not behaviour.always:
        answered = body["messages"][-1].get("role") == "tool"
        wanted = () if answered or body.get("tool_choice") == "none" else wanted
        wanted = tuple(each for each in wanted if each[0] in offered)
    return [
        {
            "id": f"call_{prompt.seed:08x}_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given or _made(offered.get(name), prompt)},
        }
        for number, (name, given) in enumerate(wanted)
    ]


def citations(body: Mapping[str, Any], prompt: Prompt) -> list[dict[str, Any]]:
    """What was read in the web, where the request asks for a search."""
    options = body.get("web_search_options")
    if not isinstance(options, dict):
        return []
    domains = options.get("filters", {}).get("allowed_domains") or ["www.example.com"]
    word = prompt.words[0]
    source = {"title": word.title(), "url": f"https://{domains[0]}/{word.lower()}", "start_index": 0, "end_index": 1}
    return [{"type": "url_citation", "url_citation": source}]


def details(behaviour: Behaviour) -> dict[str, Any]:
    """What is told of the tokens beyond their number."""
    found: dict[str, Any] = {}
    if behaviour.cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": behaviour.cached}
    if behaviour.reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": behaviour.reasoning}
    return found


def deltas(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The calls in pieces, as a stream has them."""
    for index, call in enumerate(found):
        function = call["function"]
        begun = {"index": index, **call, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [begun]}
        text = function["arguments"]
        for start in range(0, len(text), _PIECE_CHARACTERS):
            piece = {"arguments": text[start : start + _PIECE_CHARACTERS]}
            yield {"tool_calls": [{"index": index, "function": piece}]}


def _functions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = body.get("tools")
    return [each for each in listed if each.get("type") == "function"] if isinstance(listed, list) else []


def _made(function: Mapping[str, Any] | None, prompt: Prompt) -> str:
    schema = function.get("parameters", {}) if function else {}
    return json.dumps(instances.make(schema, prompt.words, prompt.seed), ensure_ascii=False) if schema else "{}"
