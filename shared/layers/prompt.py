"""Asks a model, and reads its answer as text, a list, JSON, or JSON of a given schema."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from shared import json_schema, structured
from shared.errors import LayerFailed, Parked
from shared.kinds import LayerSettings, Number, Question, References, Scope, Strict, Tools, Whole
from shared.plan import Answer

KIND = "prompt"
#: How much of an answer that does not fit is shown to its model again, in characters.
MOST_SHOWN = 50_000


class Message(Strict):
    """One message of a conversation."""

    role = fields.String(required=True, validate=validate.OneOf(["system", "user", "assistant"]))
    content = References(required=True)


class Retry(Strict):
    """How often a model is asked before the layer fails."""

    attempts = Whole(load_default=4, validate=validate.Range(min=1, max=10))


class Cache(Strict):
    """How long a good answer stands for the same question asked again."""

    seconds = Number(required=True, validate=validate.Range(min=1, max=31_536_000))


class Output(fields.Field[dict[str, Any]]):
    """`text`, `list`, `json`, or `{type: json_schema, schema: …}`."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "default": "text",
        "oneOf": [
            {"type": "string", "enum": ["text", "list", "json"]},
            {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["text", "list", "json", "json_schema"]},
                    "schema": {"type": "object", "description": "A JSON Schema, for the type `json_schema`."},
                    "name": {"type": "string", "description": "What the provider is told the schema is called."},
                },
                "required": ["type"],
                "additionalProperties": False,
            },
        ],
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        output = {"type": value} if isinstance(value, str) else value
        if not isinstance(output, dict) or output.get("type") not in ("text", "list", "json", "json_schema"):
            raise ValidationError("must be text, list, json, or an object with one of these or json_schema as type")
        if strangers := sorted(set(output) - {"type", "schema", "name"}):
            raise ValidationError({each: ["Unknown field."] for each in strangers})
        if output["type"] == "json_schema":
            _check_schema(output.get("schema"))
        elif "schema" in output:
            raise ValidationError({"schema": [f"does not go with the type {output['type']}"]})
        if not _is_schema_name(output.get("name", "answer")):
            raise ValidationError({"name": ["must be 1 to 64 letters, digits, `_` or `-`"]})
        return output


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, dict):
        raise ValidationError({"schema": ["must be a JSON schema, an object"]})
    try:
        json_schema.check(schema)
    except json_schema.Unfit as error:
        raise ValidationError({"schema": [str(error)]}) from error


def _is_schema_name(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is not None


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

    @validates_schema
    def _comes_one_way(self, settings: Mapping[str, Any], **_: Any) -> None:
        if settings.get("stream") and settings.get("background"):
            raise ValidationError("does not go with `background`", "stream")

    @validates_schema
    def _has_one_question(self, settings: Mapping[str, Any], **_: Any) -> None:
        if ("prompt" in settings) == ("messages" in settings):
            raise ValidationError("needs either `prompt` or `messages`", "prompt")


def run(settings: Mapping[str, Any], scope: Scope, tools: Tools) -> Answer:
    """Ask, and read the answer; LayerFailed with `output_invalid` and the answer's text where it cannot be read."""
    output = settings["output"]
    question = Question(
        messages=_messages(settings, scope),
        model=settings.get("model"),
        temperature=settings.get("temperature"),
        max_tokens=settings.get("max_tokens"),
        response_format=structured.response_format(output),
        attempts=settings["retry"]["attempts"],
        fallback=tuple(settings.get("fallback", ())),
        stream=settings.get("stream", False),
        cache_seconds=settings["cache"]["seconds"] if "cache" in settings else None,
        background=settings.get("background", False),
    )
    answer = tools.ask(question)
    found, fault = _read(output, answer)
    if fault and (again := _again(question, answer, fault)) is not None:
        answer = _asked_again(again, answer, tools)
        found, fault = _read(output, answer)
    if fault:
        raise LayerFailed("output_invalid", f"{fault}\n{answer.output}", calls=answer.calls)
    if question.cache_seconds is not None:
        tools.keep(question, answer)
    return replace(answer, output=found)


def _read(output: Mapping[str, Any], answer: Answer) -> tuple[Any, str]:
    """The value in an answer, and what is wrong with it: nothing, or there is no value."""
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
    )


def _asked_again(question: Question, first: Answer, tools: Tools) -> Answer:
    before = tuple(replace(each, kept=False) for each in first.calls)
    told = {name: first.details[name] for name in ("fallback_from",) if name in first.details}
    try:
        answer = tools.ask(question)
    except (LayerFailed, Parked) as failure:
        failure.calls = before + failure.calls
        raise
    return replace(answer, calls=before + answer.calls, details={**answer.details, **told})


def _messages(settings: Mapping[str, Any], scope: Scope) -> list[dict[str, str]]:
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
