"""Goes rounds with a model that may call tools, until it has the last word.

Each round is a step of the layer: what a model was paid for is recorded before anything comes of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from shared import structured
from shared.errors import LayerFailed
from shared.layers import _answers
from shared.layers._toolkit import Toolkit
from shared.outside import Question, Scope, Tools
from shared.plan import Answer


@dataclass(frozen=True, slots=True)
class _Round:
    """What was said in a round, and what came of its calls."""

    said: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]


def run(settings: Mapping[str, Any], question: Question, scope: Scope, tools: Tools) -> tuple[Answer, Any]:
    """The answer with all that was said as its text, and the value in it.

    LayerFailed with `rounds_exhausted` where the model has no last word, and as any of its steps fails.
    """
    most, output = settings["max_rounds"], settings["output"]
    toolkit = Toolkit(settings["tools"], scope, tools)
    question = toolkit.offered_with(question, most)
    rounds: list[_Round] = []
    while not rounds or rounds[-1].said["calls"]:
        number = len(rounds)
        last = number + 1 == most
        asked = replace(question, tool_choice="none" if last and question.tools else None)
        said = tools.step(f"rounds[{number}]", partial(_asked, asked, output, last))
        rounds.append(_Round(said, toolkit.results(said["calls"], number)))
        question = replace(question, messages=[*question.messages, *_exchanged(rounds[-1])])
    text = "".join(each.said["text"] for each in rounds)
    if output["type"] == "text":
        return _answer(rounds, text, toolkit), text
    text = rounds[-1].said["text"]
    return _answer(rounds, text, toolkit), structured.read(output, text)


def _asked(question: Question, output: Mapping[str, Any], last: bool, tools: Tools) -> Answer:  # noqa: FBT001
    answer, _ = _answers.good(question, output, tools)
    if last and answer.tool_calls:
        raise LayerFailed("rounds_exhausted", "the model calls tools in its last round too", calls=answer.calls)
    said = {
        "text": answer.output,
        "calls": [each._asdict() for each in answer.tool_calls],
        "response_id": answer.provider_response_id,
        **answer.details,
    }
    return replace(answer, output=said)


def _exchanged(found: _Round) -> list[dict[str, Any]]:
    """A round as the next one reads it."""
    calls = [
        {"id": each["id"], "type": "function", "function": {"name": each["name"], "arguments": each["arguments"]}}
        for each in found.said["calls"]
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result["content"]}
        for call, result in zip(found.said["calls"], found.results, strict=True)
    ]
    return [{"role": "assistant", "content": found.said["text"] or None, "tool_calls": calls}, *results]


def _answer(rounds: Sequence[_Round], text: str, toolkit: Toolkit) -> Answer:
    """What the report tells of it all; the calls were booked with the steps."""
    last = rounds[-1].said
    tokens: dict[str, int] = {}
    for each in rounds:
        tokens = _answers.added(tokens, each.said.get("tokens"))
    details = {
        **{name: last[name] for name in ("model", "fallback_from") if name in last},
        "rounds": len(rounds),
        "emitted": [
            {"tool": call["name"], "payload": result["payload"]}
            for each in rounds
            for call, result in zip(each.said["calls"], each.results, strict=True)
            if "payload" in result
        ],
        "transcript": _transcript(rounds),
        **({"tokens": tokens} if tokens else {}),
    }
    return Answer(text, provider_response_id=last["response_id"], details=details)


def _transcript(rounds: Sequence[_Round]) -> list[dict[str, Any]]:
    """All that was said, called and handed over, in its order."""
    items: list[dict[str, Any]] = []
    for each in rounds:
        if each.said["text"] or each.said.get("citations"):
            items.append({"type": "text", "content": each.said["text"], "citations": each.said.get("citations", [])})
        for call, result in zip(each.said["calls"], each.results, strict=True):
            if "payload" in result:
                items.append({"type": "data", "tool": call["name"], "payload": result["payload"]})
            else:
                tool = {"name": call["name"], "status": result["status"], "queries": [], "citations": []}
                items.append({"type": "tool", **tool})
    return items
