"""Chat completions: what the model says to a prompt, and how OpenAI writes it, whole or as a stream."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.demo_model import instances, prose, response, tools
from deploy.demo_model import prompt as prompts
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.errors import Refused
from deploy.demo_model.prompt import Prompt

_encode = json.JSONEncoder().encode
# What a stream's pieces are: a word with the space before it.
_PIECE = re.compile(r"\s*\S+|\s+")


@dataclass(slots=True)
class Reply:
    """What is said, whatever the wire; without `chosen` there is no choice at all, without `counted` no usage."""

    content: str | None
    refusal: str | None
    finish_reason: str
    usage: dict[str, int]
    chosen: bool = True
    counted: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list)
    citations: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether it is a text and three numbers, and nothing else."""
        return not (self.calls or self.citations or self.details)


def reply(body: dict[str, Any], prompt: Prompt, behaviour: Behaviour) -> Reply:
    """Say something to the prompt, in the asked format and spoiled as the behaviour's mode says. Raises Refused."""
    calls = tools.calls(body, prompt, behaviour)
    # Who calls functions says something beside only where that is scripted.
    content: str | None = behaviour.answer if behaviour.answer is not None or calls else _content(body, prompt)
    refusal, finish_reason = None, "tool_calls" if calls else "stop"
    match behaviour.mode:
        case "null_content":
            content = None
        case "refusal":
            content, refusal = None, "I'm sorry, but I can't help with that."
        case "length":
            content, finish_reason = _half(content), "length"
        case "content_filter":
            content, finish_reason = "", "content_filter"
        case "nan":
            content = '{"score": NaN, "limit": Infinity}'
        case "bad_json":
            content = '{"title": "Unfinished", "score": 7, "review": "It stops in the'
    most = _most_tokens(body)
    if content is not None and most is not None and prompts.tokens(content) > most:
        content, finish_reason = prompts.beginning(content, most), "length"
    said = prompts.tokens(content or refusal or "") + sum(prompts.tokens(json.dumps(each)) for each in calls)
    usage = {"prompt_tokens": prompt.tokens, "completion_tokens": said, "total_tokens": prompt.tokens + said}
    chosen, counted = behaviour.mode != "no_choices", behaviour.mode != "no_usage"
    return Reply(
        content,
        refusal,
        finish_reason,
        usage,
        chosen=chosen,
        counted=counted,
        calls=calls,
        citations=tools.citations(body, prompt),
        details=tools.details(behaviour),
    )


def write(body: dict[str, Any], said: Reply, *, identifier: str, fields: str) -> bytes:
    """The whole answer to a request's body, as a stream if it asks for one; `fields` are header lines."""
    if body.get("stream"):
        return response.events(chunks(body, said, identifier), fields=fields)
    if not said.plain:
        return response.document(200, _document(body, said, identifier), fields=fields)
    usage = said.usage
    counted = (
        f',"usage":{{"prompt_tokens":{usage["prompt_tokens"]},"completion_tokens":{usage["completion_tokens"]},'
        f'"total_tokens":{usage["total_tokens"]}}}'
    )
    # Written by hand: this is what every call pays, and only names and texts need escaping.
    choice = (
        f'{{"index":0,"message":{{"role":"assistant","content":{_encode(said.content)},"refusal":{_encode(said.refusal)}}},'
        f'"logprobs":null,"finish_reason":"{said.finish_reason}"}}'
    )
    text = (
        f'{{"id":"{identifier}","object":"chat.completion","created":{int(time.time())},"model":{_encode(body["model"])},'
        f'"choices":[{choice if said.chosen else ""}]{counted if said.counted else ""},"system_fingerprint":"fp_demo"}}'
    )
    return response.whole(200, text.encode(), fields=fields)


def _document(body: dict[str, Any], said: Reply, identifier: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.content, "refusal": said.refusal}
    if said.calls:
        message["tool_calls"] = said.calls
    if said.citations:
        message["annotations"] = said.citations
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish_reason}
    return {
        "id": identifier,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": [choice] if said.chosen else [],
        **({"usage": {**said.usage, **said.details}} if said.counted else {}),
        "system_fingerprint": "fp_demo",
    }


def chunks(body: dict[str, Any], said: Reply, identifier: str) -> Iterator[str]:
    """The pieces of an answer that is streamed, up to what ends it."""
    shared: dict[str, Any] = {
        "id": identifier,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": body["model"],
        "system_fingerprint": "fp_demo",
    }
    options = body.get("stream_options")
    counted = said.counted and isinstance(options, dict) and bool(options.get("include_usage"))
    if counted:
        # Every chunk but the last has it as null, as at OpenAI.
        shared["usage"] = None
    if said.chosen:
        for delta, finish_reason in _deltas(said):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            yield _encode({**shared, "choices": [choice]})
    if counted:
        yield _encode({**shared, "choices": [], "usage": {**said.usage, **said.details}})


def _content(body: dict[str, Any], prompt: Prompt) -> str:
    wanted = body.get("response_format")
    if wanted is None:
        return prose.paragraph(prompt.words, prompt.seed)
    if not isinstance(wanted, dict):
        raise Refused("'response_format' must be an object")
    match wanted.get("type"):
        case "text":
            return prose.paragraph(prompt.words, prompt.seed)
        case "json_object":
            return json.dumps(_some_object(prompt), ensure_ascii=False)
        case "json_schema":
            schema = wanted.get("json_schema")
            if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
                raise Refused("missing required parameter: 'response_format.json_schema.schema'")
            return json.dumps(instances.make(schema["schema"], prompt.words, prompt.seed), ensure_ascii=False)
    raise Refused(f"invalid 'response_format.type': {wanted.get('type')!r}")


def _half(content: str | None) -> str:
    return content[: max(1, len(content) // 2)] if content else ""


def _most_tokens(body: dict[str, Any]) -> int | None:
    """How long an answer may be, under the names that OpenAI's APIs have for it."""
    named = (body.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
    return next((each for each in named if isinstance(each, int) and not isinstance(each, bool) and each > 0), None)


def _some_object(prompt: Prompt) -> dict[str, Any]:
    """What to say when any JSON object will do."""
    return {
        "title": prompt.words[0].title(),
        "summary": prose.sentence(prompt.words, prompt.seed),
        "keywords": prompt.words[:3],
        "score": 5 + prompt.seed % 5,
    }


def _deltas(said: Reply) -> Iterator[tuple[dict[str, Any], str | None]]:
    key = "content" if said.refusal is None else "refusal"
    yield {"role": "assistant", "content": None if said.content is None else "", "refusal": None}, None
    for piece in _PIECE.findall(said.content or said.refusal or ""):
        yield {key: piece}, None
    for delta in tools.deltas(said.calls):
        yield delta, None
    yield {"annotations": said.citations} if said.citations else {}, said.finish_reason
