"""The tools of a layer while it runs: what the model is offered of them, and what comes of its calls.

Each call is a step of the layer with a checkpoint of its own: after a crash it is not made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from shared import json_schema, rendering, strict_json, toolbox
from shared.errors import LayerFailed
from shared.outside import Question, Scope, Tools
from shared.plan import UNFORGIVEN, Answer
from shared.toolbox import Function

#: Calls of one round that are made at once, and at most.
AT_ONCE = 8
MOST_CALLS = 16
#: Failures that no model can make up for.
_FATAL = UNFORGIVEN | {"variable_missing"}
#: How much of what a call gave the model reads, in bytes.
MOST_BYTES = 32_000


class Toolkit:
    """What a model may call in one layer."""

    def __init__(self, settings: Sequence[Mapping[str, Any]], scope: Scope, tools: Tools) -> None:
        self._settings = settings
        self._scope = scope
        self._tools = tools
        self._functions: dict[str, Function] = {}
        for index, tool in enumerate(settings):
            for each in self._listed(index, tool):
                self._functions.setdefault(each.name, each)

    def offered_with(self, question: Question, rounds: int) -> Question:
        """The question, with what the model may call for it and what that bounds."""
        found = [toolbox.types()[each["type"]] for each in self._settings]
        searched = [each for each in self._settings if each["type"] == toolbox.RESERVED]
        elsewhere = any(hasattr(each, "REMOTE") or hasattr(each, "pipeline") for each in found)
        return replace(
            question,
            tools=tuple(each.offered() for each in self._functions.values()),
            domains=tuple(searched[0]["allowed_domains"] or ()) if searched else None,
            rounds=None if any(hasattr(each, "pipeline") for each in found) else rounds,
            more_tokens=None if elsewhere else MOST_CALLS * MOST_BYTES,
        )

    def emits(self, name: str) -> bool:
        """True for a function whose calls are results themselves."""
        function = self._functions.get(name)
        return function is not None and hasattr(toolbox.types()[function.tool["type"]], "EMITS")

    def results(self, calls: Sequence[Mapping[str, Any]], number: int) -> list[dict[str, Any]]:
        """What came of the calls of a round, in their order: `status`, and the `content` that the model reads.

        LayerFailed with `tool_failed` where one fails that must not.
        """
        found: list[dict[str, Any]] = [{} for _ in calls]

        def work(index: int) -> None:
            found[index] = self._result(calls[index], number, index)

        self._tools.each(len(calls), work, AT_ONCE)
        return found

    def _listed(self, index: int, tool: Mapping[str, Any]) -> list[Function]:
        module = toolbox.types()[tool["type"]]
        if not hasattr(module, "REMOTE"):
            return list(module.functions(tool, self._scope, self._tools))

        def listed(tools: Tools) -> Answer:
            return Answer([_told(each) for each in module.functions(tool, self._scope, tools)])

        # Asked for once: a model that goes on after a crash must find what it was offered before.
        return [Function(**each, tool=tool) for each in self._tools.step(f"tools[{index}]", listed)]

    def _result(self, call: Mapping[str, Any], number: int, index: int) -> dict[str, Any]:
        if index >= MOST_CALLS:
            return {"status": "error", "content": f"more than {MOST_CALLS} calls at once are not made"}
        known = call["name"] in self._functions
        place = f"rounds[{number}]/{call['name'] if known else 'unknown'}[{index}]"
        found: dict[str, Any] = self._tools.step(place, lambda tools: Answer(self._called(call, tools)))
        return found

    def _called(self, call: Mapping[str, Any], tools: Tools) -> dict[str, Any]:
        function = self._functions.get(call["name"])
        silent = self.emits(call["name"])
        told = {"ref": call["id"], "tool": call["name"]}
        if not silent:
            tools.tell("tool_start", **told)
        try:
            result = self._made(function, call, tools)
        except LayerFailed as error:
            tools.tell("tool_end", **told, status="error")
            if error.reason in _FATAL:
                raise
            if function is not None and function.tool.get("fail_fast"):
                raise LayerFailed("tool_failed", f"{call['name']}: {error}") from error
            return {"status": "error", "content": _cut(f"it failed: {error}")}
        if silent:
            tools.tell("data", tool=call["name"], payload=result["payload"])
        else:
            tools.tell("tool_end", **told, status="ok")
        return result

    def _made(self, function: Function | None, call: Mapping[str, Any], tools: Tools) -> dict[str, Any]:
        if function is None:
            raise LayerFailed("value_invalid", f"there is no tool {call['name'][:100]}")
        arguments = _arguments(function, call["arguments"])
        given = toolbox.types()[function.tool["type"]].call(function, arguments, self._scope, tools)
        result = {"status": "ok", "content": _cut(rendering.as_text(given))}
        return {**result, "payload": arguments} if self.emits(function.name) else result


def _arguments(function: Function, text: str) -> dict[str, Any]:
    """What a model gives with a call; LayerFailed where it does not fit."""
    try:
        found = strict_json.loads(text or "{}")
        json_schema.validate(function.parameters, found)
    except json_schema.Unfit as error:
        raise LayerFailed("value_invalid", f"what was given {error}") from error
    except ValueError as error:
        raise LayerFailed("value_invalid", f"what was given is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise LayerFailed("value_invalid", "what was given is no object")
    return found


def _cut(text: str) -> str:
    whole = text.encode(errors="replace")
    return text if len(whole) <= MOST_BYTES else f"{whole[: MOST_BYTES - 20].decode(errors='ignore')}… (cut here)"


def _told(function: Function) -> dict[str, Any]:
    return {name: each for name, each in asdict(function).items() if name != "tool"}
