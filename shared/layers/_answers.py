"""Has a model answer until its answer is what was asked for, or it has said twice what is not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared import structured
from shared.errors import LayerFailed, Parked
from shared.outside import Question, Tools
from shared.plan import Answer

#: How much of an answer that does not fit is shown to its model again, in characters.
MOST_SHOWN = 50_000


def good(question: Question, output: Mapping[str, Any], tools: Tools) -> tuple[Answer, Any]:
    """A model's answer and the value in it; LayerFailed with `output_invalid` and its text where there is none.

    One that asks for calls of tools has no value yet.
    """
    answer = tools.ask(question)
    found, fault = _read(output, answer)
    if fault and (again := _again(question, answer, fault)) is not None:
        answer = _asked_again(again, answer, tools)
        found, fault = _read(output, answer)
    if fault:
        raise LayerFailed("output_invalid", f"{fault}\n{answer.output}", calls=answer.calls)
    return answer, found


def _read(output: Mapping[str, Any], answer: Answer) -> tuple[Any, str]:
    """The value in an answer, and what is wrong with it: nothing, or there is no value."""
    if answer.tool_calls:
        return None, ""
    try:
        return structured.read(output, answer.output), ""
    except structured.Unreadable as error:
        return None, str(error)


def _again(question: Question, answer: Answer, fault: str) -> Question | None:
    """The question to the model that has answered, with what is wrong; None where it has no attempt left."""
    model = answer.details.get("model")
    sent = sum(each.model == model for each in answer.calls)
    if sent >= question.attempts:
        return None
    messages = [
        *question.messages,
        {"role": "assistant", "content": answer.output[:MOST_SHOWN]},
        {
            "role": "user",
            "content": f"This cannot be used: {fault}. Answer again, with the corrected JSON and no more.",
        },
    ]
    return replace(
        question,
        messages=messages,
        model=model or question.model,
        attempts=question.attempts - sent,
        fallback=(),
        cache_seconds=None,
        tool_choice="none" if question.tools else None,
    )


def _asked_again(question: Question, first: Answer, tools: Tools) -> Answer:
    before = tuple(replace(each, kept=False) for each in first.calls)
    told = {name: first.details[name] for name in ("fallback_from",) if name in first.details}
    try:
        answer = tools.ask(question)
    except (LayerFailed, Parked) as failure:
        failure.calls = before + failure.calls
        raise
    tokens = added(first.details.get("tokens"), answer.details.get("tokens"))
    details = {**answer.details, **told, **({"tokens": tokens} if tokens else {})}
    return replace(answer, calls=before + answer.calls, details=details)


def added(one: Mapping[str, int] | None, other: Mapping[str, int] | None) -> dict[str, int]:
    """The sum of what providers tell of tokens, by name."""
    return {name: (one or {}).get(name, 0) + (other or {}).get(name, 0) for name in {**(one or {}), **(other or {})}}
