"""Chat completions: what is sent, and how the whole answer is read."""

from collections.abc import Mapping
from typing import Any

from shared import metrics
from shared.outside import Question
from shared.plan import ToolCall, Usage
from shared.providers import Target
from worker.providers import client, faults, tool_calls
from worker.providers.asking import Reply, Request
from worker.providers.client import Client

PATH = "/chat/completions"


def ask(sender: Client, request: Request) -> Reply:
    """Send a question and read the whole answer; ProviderFault, or the openai package's errors, where there is none."""
    # Rather than `chat.completions.create`: the same request without the walk over every message's types, which is two
    # fifths of a call's cost.
    sent = body(request.question, request.line.target, request.max_tokens)
    return read(sender.ask(PATH, sent, client.headers(request.line.credential.key, request.asking.headers)))


def body(question: Question, target: Target, max_tokens: int | None) -> dict[str, Any]:
    """The request's body, without what is not set."""
    optional = {
        "temperature": question.temperature,
        "max_tokens": max_tokens,
        "response_format": question.response_format,
        "tools": question.tools or None,
        "tool_choice": question.tool_choice,
        "web_search_options": _search(question.domains),
    }
    return {
        "model": target.model,
        "messages": question.messages,
        **{name: value for name, value in optional.items() if value is not None},
    }


def read(found: object) -> Reply:
    """Read a chat completion; ProviderFault where it is none, is cut short, or is a refusal."""
    if not isinstance(found, dict):
        raise faults.garbage("the provider's answer is no JSON object")
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    response_id = found.get("id")
    return reply(
        message.get("content"),
        refusal=message.get("refusal"),
        finish_reason=choice.get("finish_reason"),
        usage=usage(found.get("usage")),
        response_id=response_id if isinstance(response_id, str) else None,
        tool_calls=tool_calls.read(message.get("tool_calls")),
        told=_told(found.get("usage"), message.get("annotations")),
    )


def reply(
    content: object,
    *,
    refusal: object,
    finish_reason: object,
    usage: Usage | None,
    response_id: str | None,
    tool_calls: tuple[ToolCall, ...] = (),
    told: Mapping[str, Any] | None = None,
) -> Reply:
    """An answer as it was told, whole or in pieces; ProviderFault where it is cut short, refused or without a text."""
    if usage is not None:
        metrics.tokens(usage.prompt_tokens, usage.completion_tokens)
    if finish_reason == "content_filter" or (refusal and not content):
        text = str(refusal or "the provider's content filter stopped the answer")
        raise faults.ProviderFault("provider_refused", text, usage=usage)
    if finish_reason == "length":
        text = f"the answer was cut at its token limit:\n{content or ''}"
        raise faults.ProviderFault("output_truncated", text, usage=usage)
    if not isinstance(content, str) and not tool_calls:
        raise faults.ProviderFault("provider_empty", "the answer has no content", usage=usage)
    text = content if isinstance(content, str) else ""
    return Reply(text, usage, response_id, tool_calls=tool_calls, told=told or {})


def usage(found: object) -> Usage | None:
    """The tokens that a provider counted, as far as they make sense; None where there is no count."""
    if not isinstance(found, Mapping):
        return None
    prompt, completion = (_count(found.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return Usage(prompt, completion, _count(found.get("total_tokens")) or prompt + completion)


def counted(found: object) -> dict[str, Any]:
    """Of the tokens that a provider counted, those that it read from a cache and those of its reasoning."""
    found = found if isinstance(found, Mapping) else {}
    named = {
        "cached": (found.get("prompt_tokens_details") or found.get("input_tokens_details"), "cached_tokens"),
        "reasoning": (found.get("completion_tokens_details") or found.get("output_tokens_details"), "reasoning_tokens"),
    }
    tokens = {
        name: _count(details[counter])
        for name, (details, counter) in named.items()
        if isinstance(details, Mapping) and details.get(counter) is not None
    }
    return {"tokens": tokens} if tokens else {}


def _told(usage: object, annotations: object) -> dict[str, Any]:
    cited: dict[str, dict[str, str]] = {}
    for each in annotations if isinstance(annotations, list) else ():
        source = each.get("url_citation") if isinstance(each, dict) else None
        url = source.get("url") if isinstance(source, dict) else None
        if isinstance(source, dict) and isinstance(url, str):
            # What is cited twice is told once.
            cited.setdefault(url, {"title": str(source.get("title") or url), "url": url})
    return {**counted(usage), **({"citations": list(cited.values())} if cited else {})}


def _search(domains: tuple[str, ...] | None) -> dict[str, Any] | None:
    if domains is None:
        return None
    return {"filters": {"allowed_domains": list(domains)}} if domains else {}


def _count(found: object) -> int:
    # More than any model reads in a year is nonsense, and would not fit where the tokens are added up.
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 1 << 40 else 0
