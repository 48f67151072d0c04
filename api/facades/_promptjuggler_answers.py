"""The shapes of PromptJuggler's wire; they document it, and check the two bodies that are read."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate

from shared.kinds import CHANNEL, Strict
from shared.order import QUEUES

_SHORT = validate.Length(max=200)
_RUN_STATUS = validate.OneOf(["pending", "completed", "failed"])
_DOCUMENT_STATUS = validate.OneOf(["pending", "ready", "failed"])


class Wire(Strict):
    """Fields are called in camel case there."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Give a field its name on the wire."""
        first, *rest = field_name.split("_")
        field_obj.data_key = first + "".join(each.capitalize() for each in rest)


class Texts(fields.Raw):
    """A text, or a list of texts."""

    #: Its shape for the documentation, as every field with a form of its own has one.
    json_schema: ClassVar[Mapping[str, Any]] = {
        "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in listed):
            raise ValidationError("must be a string or a list of strings")
        return value


class CreateWorkflowRun(Wire):
    """Body of a workflow's run."""

    inputs = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Texts by input name; of an input of another type, JSON."},
    )
    thread = fields.UUID(
        allow_none=True, metadata={"description": "The conversation that goes on, or a new one's name."}
    )
    priority = fields.String(allow_none=True, load_default="normal", validate=validate.OneOf(QUEUES))
    environment = fields.String(
        allow_none=True, validate=_SHORT, metadata={"description": "Whose variables and webhooks; `default` without."}
    )
    env_vars = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        allow_none=True,
        metadata={"description": "Values for this run alone; 50 at most, 64 KB together. Never told again."},
    )
    metadata = fields.Dict(
        keys=fields.String(validate=_SHORT),
        values=Texts(),
        allow_none=True,
        validate=validate.Length(max=100),
        metadata={"description": "Kept with the run."},
    )
    channel = fields.String(
        allow_none=True,
        validate=validate.Regexp(CHANNEL, error="must be 1 to 64 letters, digits, `.`, `_` or `-`"),
        metadata={"description": "A prompt's lane of the thread, `default` without. A workflow's prompts name theirs."},
    )


class CreatePromptRun(CreateWorkflowRun):
    """Body of a prompt's run."""


class Created(Wire):
    """Answer of both starts."""

    id = fields.UUID(required=True)
    thread = fields.UUID(required=True)


class Citation(Wire):
    """A source that the model named."""

    title = fields.String(required=True)
    url = fields.String(required=True)


class Emitted(Wire):
    """What was handed over with one call of an emit tool."""

    tool = fields.String(required=True)
    payload = fields.Dict(required=True)


class TranscriptText(Wire):
    """What the model said."""

    type = fields.String(required=True, validate=validate.Equal("text"))
    content = fields.String(required=True)
    citations = fields.List(fields.Nested(Citation), required=True)


class TranscriptTool(Wire):
    """A tool that the model called."""

    type = fields.String(required=True, validate=validate.Equal("tool"))
    name = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(["ok", "error", "pending"]))
    queries = fields.List(fields.String(), required=True)
    citations = fields.List(fields.Nested(Citation), required=True)


class TranscriptData(Emitted):
    """What was handed over, in its place."""

    type = fields.String(required=True, validate=validate.Equal("data"))


class TokenUsage(Wire):
    """Tokens, as the providers counted them."""

    input = fields.Integer(required=True)
    input_cached = fields.Integer(required=True)
    output = fields.Integer(required=True)
    reasoning = fields.Integer(required=True)
    total = fields.Integer(required=True)


class ModelCost(Wire):
    """US dollars."""

    input = fields.Float(required=True)
    cached_input = fields.Float(required=True)
    cache_write = fields.Float(required=True)
    output = fields.Float(required=True)
    web_search = fields.Float(required=True)
    total = fields.Float(required=True)


class RunCost(Wire):
    """What a run came to: the answers that were used, and those that were asked for again."""

    success = fields.Nested(ModelCost, required=True)
    retries = fields.Nested(ModelCost, required=True)
    total = fields.Float(required=True)


class _Run(Wire):
    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=_RUN_STATUS)
    created_at = fields.DateTime(required=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    token_usage = fields.Nested(TokenUsage, required=True, allow_none=True)
    cost = fields.Nested(
        RunCost,
        required=True,
        allow_none=True,
        metadata={"description": "Null while it is pending, and where the price of a call is not known."},
    )


class PromptRun(_Run):
    """How far a prompt's run is, and what came of it."""

    output = fields.String(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)
    emitted = fields.List(fields.Nested(Emitted), required=True)
    transcript = fields.List(
        fields.Raw(metadata={"description": "Of type `text`, `tool` or `data`.", "type": "object"}), required=True
    )


class WorkflowRun(_Run):
    """How far a workflow's run is, and what came of it."""

    outputs = fields.Dict(
        keys=fields.String(), values=fields.String(allow_none=True), required=True,
        metadata={"description": "What has a value by now, by the property's name."},
    )  # fmt: skip
    errors = fields.List(
        fields.String(), required=True, metadata={"description": "Failures, and warnings of what passed all the same."}
    )


class ModelParams(Wire):
    """What is asked of the model; null is its own default."""

    max_completion_tokens = fields.Integer(required=True, allow_none=True)
    temperature = fields.Float(required=True, allow_none=True)
    top_p = fields.Float(required=True, allow_none=True)
    verbosity = fields.String(required=True, allow_none=True)
    reasoning_effort = fields.String(required=True, allow_none=True)
    reasoning_summary = fields.Boolean(required=True, allow_none=True)
    service_tier = fields.String(required=True, allow_none=True)


class Message(Wire):
    """A message that the prompt begins with."""

    role = fields.String(required=True, validate=validate.OneOf(["user", "assistant"]))
    content = fields.String(required=True)


class PromptRevision(Wire):
    """A version of a prompt."""

    id = fields.UUID(required=True)
    prompt_id = fields.UUID(required=True)
    memory = fields.String(required=True)
    provider = fields.String(required=True, validate=validate.Equal("openai"))
    model = fields.String(required=True)
    model_params = fields.Nested(ModelParams, required=True)
    response_format = fields.Dict(
        required=True, metadata={"description": "Of type `text`, `json_object` or `json_schema`."}
    )
    system_instruction = fields.String(required=True, allow_none=True)
    messages = fields.List(fields.Nested(Message), required=True)
    tools = fields.List(fields.Dict(), required=True)


class Upload(Strict):
    """Parts of an upload: `files[0]`, `files[1]`, … each with a file name."""

    first = fields.Raw(
        required=True, data_key="files[0]", metadata={"description": "A file.", "type": "string", "format": "binary"}
    )


class KnowledgeDocument(Wire):
    """A document, and how far it is."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=_DOCUMENT_STATUS)
    file_name = fields.String(required=True)
    bytes = fields.Integer(required=True)
    chunk_count = fields.Integer(required=True)


class DocumentSummary(Wire):
    """A document of a knowledge base."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=_DOCUMENT_STATUS)
    file_name = fields.String(required=True)
    bytes = fields.Integer(required=True)
    mime_type = fields.String(required=True)


class KnowledgeBase(Wire):
    """A folder of knowledge with its documents."""

    id = fields.UUID(required=True)
    status = fields.String(required=True, validate=_DOCUMENT_STATUS)
    document_count = fields.Integer(required=True)
    chunk_count = fields.Integer(required=True)
    documents = fields.List(fields.Nested(DocumentSummary), required=True)


class StreamToken(Wire):
    """What lets a browser read the stream of one thread."""

    token = fields.String(required=True)
    expires_at = fields.DateTime(required=True)
    url = fields.String(required=True)


class Failed(Wire):
    """PromptJuggler's shape of every failure."""

    error = fields.String(required=True)
