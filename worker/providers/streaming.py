"""A chat completion that comes in pieces: told while it comes, and put together to what it would have been whole."""

import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from worker.alarms import Alarms
from worker.deltas import Deltas
from worker.providers import chat, client, faults, server_sent, tool_calls, transport
from worker.providers.asking import Reply, Request
from worker.providers.client import Client
from worker.providers.response import TooLarge

#: What a request for a stream has beside the one for a whole answer.
WANTED = {"stream": True, "stream_options": {"include_usage": True}}


class Body(openai.Stream[object]):
    """A streamed answer, unread: the package's own reader holds whatever is sent as one event, however large."""

    def __init__(self, *, response: httpx2.Response, **_: Any) -> None:
        self.response = response


def ask(sender: Client, request: Request, alarms: Alarms, *, max_bytes: int) -> Reply:
    """Send a question and tell its answer as it comes; ProviderFault, or the openai package's errors, without one."""
    deltas = Deltas(request.asking.run.telling, request.asking.path, alarms)
    try:
        stream = sender.post(
            chat.PATH,
            body=chat.body(request.question, request.line.target, request.max_tokens) | WANTED,
            cast_to=object,
            options={"headers": client.headers(request.line.credential.key, request.asking.headers)},
            stream=True,
            stream_cls=Body,
        )
        with stream, _translated(stream.response):
            reply = chat.read(completion(stream.response, deltas.add, max_bytes=max_bytes))
    except BaseException:
        deltas.discard()
        raise
    deltas.end()
    return reply


def completion(response: httpx2.Response, tell: Callable[[str], None], *, max_bytes: int) -> object:
    """Read a stream to its end and return the completion that its chunks make; `tell` gets its text as it comes.

    ProviderFault where the stream tells of an error, makes no sense or ends before its answer does; httpx2's errors
    where the connection breaks or the text has more bytes.
    """
    if not response.headers.get("content-type", "").startswith(transport.EVENTS):
        # Some servers pass over what they do not know, and answer whole.
        return json.loads(response.read())
    answer = _Answer()
    for event in server_sent.events(response.iter_bytes(), max_bytes=max_bytes):
        if event.startswith(b"[DONE]"):
            break
        text = answer.add(_chunk(event))
        if answer.size > max_bytes:
            raise TooLarge(f"the answer is larger than {max_bytes} bytes")
        if text:
            tell(text)
    if answer.finish_reason is None:
        raise faults.ProviderFault("provider_unreachable", "the provider's stream ended before its answer", lost=True)
    return answer.completion()


class _Answer:
    """What a stream's chunks come to."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        #: Of its texts, in bytes.
        self.size = 0
        self._alike: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._calls = tool_calls.Pieces()
        self._annotations: list[Any] = []
        # A character beyond the first 65,536 may come as two halves in two chunks.
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Take a chunk; returns what it adds to the content."""
        self._alike.update({name: chunk[name] for name in ("id", "model", "usage") if chunk.get(name)})
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        self.size += self._calls.add(delta.get("tool_calls"))
        if isinstance(delta.get("annotations"), list):
            self._annotations += delta["annotations"]
        if isinstance(delta.get("refusal"), str):
            self._keep("refusal", delta["refusal"])
        if not isinstance(delta.get("content"), str):
            return ""
        return self._keep("content", self._decoder.decode(delta["content"].encode("utf-16-le", "surrogatepass")))

    def completion(self) -> dict[str, Any]:
        """The chat completion, as it would have come whole."""
        message: dict[str, Any] = {name: "".join(texts) if texts else None for name, texts in self._texts.items()}
        message |= {"tool_calls": self._calls.whole(), "annotations": self._annotations}
        return {**self._alike, "choices": [{"message": message, "finish_reason": self.finish_reason}]}

    def _keep(self, name: str, text: str) -> str:
        self._texts[name].append(text)
        self.size += len(text.encode(errors="replace"))
        return text


def _chunk(event: bytes) -> dict[str, Any]:
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError) as error:
        text = f"a part of the provider's stream is not JSON: {error}"[:500]
        raise faults.ProviderFault("provider_garbage", text, lost=True) from error
    if not isinstance(chunk, dict):
        raise faults.ProviderFault("provider_garbage", "a part of the provider's stream is no JSON object", lost=True)
    if chunk.get("error"):
        raise _told(chunk["error"])
    return chunk


def _told(error: Any) -> faults.ProviderFault:
    """An error that came as an event, after the status had said that all is well."""
    reason = faults.of_codes(error) or "provider_error"
    retryable = True if reason == "provider_error" else None
    return faults.ProviderFault(reason, json.dumps(error, ensure_ascii=False), retryable=retryable, lost=True)


@contextmanager
def _translated(response: httpx2.Response) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as error:
        raise openai.APITimeoutError(request=response.request) from error
    except httpx2.TransportError as error:
        raise openai.APIConnectionError(request=response.request) from error
