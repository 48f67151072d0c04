"""Asks a model, and reads its answer as text, a list, JSON, or JSON of a given schema; the model may call tools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from shared import structured, toolbox
from shared.kinds import CHANNEL, Embedded, LayerSettings, Number, Piece, References, Whole
from shared.layers import _answers, _rounds
from shared.layers._prompt_fields import Cache, Message, Output, Retry
from shared.outside import Question, Scope, Tools
from shared.plan import Answer
from shared.toolbox import ToolField

KIND = "prompt"
_PIECE = re.compile(r"(?:rounds\[\d+\](?:/(?P<function>[A-Za-z0-9_-]+)\[\d+\])?|tools\[\d+\])(?:/(?P<rest>.+))?")


class Settings(LayerSettings):
    """Settings of a `prompt` layer."""

    prompt = References(metadata={"description": "The user's message. Either this or `messages`."})
    system = References(metadata={"description": "The system message."})
    messages = fields.List(
        fields.Nested(Message),
        validate=validate.Length(min=1, max=200),
        metadata={"description": "A whole conversation instead of `prompt`."},
    )
    model = fields.String(
        validate=validate.Length(min=1, max=200),
        metadata={
            "description": "`provider/model`, or a model of the default provider; STRATA_DEFAULT_MODEL by default."
        },
    )
    fallback = fields.List(
        fields.String(validate=validate.Length(min=1, max=200)),
        validate=validate.Length(max=10),
        metadata={"description": "Models to ask instead, in this order, where one has no answer."},
    )
    temperature = Number(
        validate=validate.Range(min=0, max=2), metadata={"description": "The provider's own default without it."}
    )
    max_tokens = Whole(
        validate=validate.Range(min=1),
        metadata={"description": "Longest answer in tokens; one that is cut there fails the layer."},
    )
    output = Output(
        load_default=lambda: {"type": "text"},
        metadata={"description": "`text` (default), `list`, `json`, or `{type: json_schema, schema: …}`."},
    )
    retry = fields.Nested(
        Retry,
        load_default=lambda: {"attempts": 4},
        metadata={"description": "`{attempts: 4}`: requests to a model at most, the first one included."},
    )

    stream = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={"description": "Tell the answer as events while it comes; `false` by default."},
    )
    channel = fields.String(
        validate=validate.Regexp(CHANNEL, error="must be 1 to 64 letters, digits, `.`, `_` or `-`"),
        metadata={
            "description": "The lane of the thread that it reads and adds to, where the pipeline's `memory` says so;"
            " the execution's by default."
        },
    )
    cache = fields.Nested(
        Cache,
        metadata={
            "description": "`{seconds: 3600}`: a good answer stands for the very same request of your organization as"
            " long, at most STRATA_RESULT_SECONDS."
        },
    )
    background = fields.Boolean(
        truthy={True},
        falsy={False},
        load_default=False,
        metadata={"description": "Have the provider make the answer in the background; for answers that take minutes."},
    )

    tools = fields.List(
        ToolField(),
        validate=validate.Length(min=1, max=50),
        metadata={"description": "What the model may call while it makes its answer."},
    )
    max_rounds = Whole(
        load_default=8,
        validate=validate.Range(min=1, max=50),
        metadata={"description": "How often a model that calls tools is asked at most; the last time without them."},
    )

    @validates_schema
    def _comes_one_way(self, settings: Mapping[str, Any], **_: Any) -> None:
        if settings.get("stream") and settings.get("background"):
            raise ValidationError("does not go with `background`", "stream")

    @validates_schema
    def _has_one_question(self, settings: Mapping[str, Any], **_: Any) -> None:
        if ("prompt" in settings) == ("messages" in settings):
            raise ValidationError("needs either `prompt` or `messages`", "prompt")

    @validates_schema
    def _has_good_tools(self, settings: Mapping[str, Any], **_: Any) -> None:
        tools = settings.get("tools", [])
        for each in ("cache", "background"):
            if tools and settings.get(each):
                raise ValidationError("does not go with `tools`", each)
        names: set[str] = set()
        for index, tool in enumerate(tools):
            name = tool.get("name", toolbox.RESERVED)
            if name in names:
                raise ValidationError({"tools": {index: {"name": [f"{name} names two tools"]}}})
            names.add(name)


def embedded(settings: Mapping[str, Any]) -> Iterator[Embedded]:
    """The pipelines that its tools run, in their places; settings may be unchecked."""
    tools = settings.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        named = getattr(toolbox.types().get(kind), "pipeline", None) if isinstance(kind, str) else None
        reference = named(tool) if named else None
        if reference is not None:
            yield Embedded(f"tools[{index}]", reference)


def piece(settings: Mapping[str, Any], path: str) -> tuple[Piece, str] | None:
    """The round, the call in a round, or the listing of a server's tools that a path names."""
    found = _PIECE.fullmatch(path)
    if found is None:
        return None
    rest = found["rest"] or ""
    if found["function"] is None:
        return Piece("round" if path.startswith("rounds") else "tools"), rest
    for tool in settings.get("tools", ()):
        name = tool.get("name", "")
        if name == found["function"] or (tool["type"] == "mcp" and found["function"].startswith(f"{name}_")):
            named = getattr(toolbox.types()[tool["type"]], "pipeline", None)
            return Piece(tool["type"], named(tool) if named else None), rest
    return Piece("tool"), rest


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Ask, and read the answer; LayerFailed with `output_invalid` and the answer's text where it cannot be read."""
    history = tools.history(settings.get("channel"))
    messages = _messages(settings, scope)
    question = _question(
        settings, [*messages[: _opening(messages)], *history.messages, *messages[_opening(messages) :]]
    )
    if "tools" in settings:
        answer, found = _rounds.run(settings, question, scope, tools)
    else:
        answer, found = _answers.good(question, settings["output"], tools)
    if question.cache_seconds is not None:
        tools.keep(question, answer)
    said = {"user": _asked(messages), "assistant": answer.output}
    return replace(answer, output=found, said=said, details={**answer.details, **history.told})


def _opening(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many system messages stand before everything else."""
    return next((index for index, each in enumerate(messages) if each["role"] != "system"), len(messages))


def _asked(messages: Iterable[Mapping[str, Any]]) -> str:
    """What the layer itself says to the model."""
    return "\n\n".join(each["content"] for each in messages if each["role"] == "user")


def _question(settings: Mapping[str, Any], messages: list[dict[str, Any]]) -> Question:
    return Question(
        messages=messages,
        model=settings.get("model"),
        temperature=settings.get("temperature"),
        max_tokens=settings.get("max_tokens"),
        response_format=structured.response_format(settings["output"]),
        attempts=settings["retry"]["attempts"],
        fallback=tuple(settings.get("fallback", ())),
        stream=settings.get("stream", False),
        cache_seconds=settings["cache"]["seconds"] if "cache" in settings else None,
        background=settings.get("background", False),
    )


def _messages(settings: Mapping[str, Any], scope: Scope) -> list[dict[str, Any]]:
    messages = [
        {"role": each["role"], "content": scope.render(each["content"])} for each in settings.get("messages", ())
    ]
    if "prompt" in settings:
        messages.append({"role": "user", "content": scope.render(settings["prompt"])})
    if "system" in settings:
        messages.insert(0, {"role": "system", "content": scope.render(settings["system"])})
    if settings["output"]["type"] == "json" and not any("json" in each["content"].lower() for each in messages):
        # OpenAI refuses response_format json_object where no message speaks of JSON.
        messages.insert(0, {"role": "system", "content": "Answer with JSON."})
    return messages
