"""The model as a server: listens, sends each request where it belongs, answers calls as the script says."""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.demo_model import buckets, chat, control, embeddings, faults, response, responses, streams
from deploy.demo_model import prompt as prompts
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.calls import Calls
from deploy.demo_model.connection import Connection
from deploy.demo_model.errors import Refused
from deploy.demo_model.exchange import Exchange
from deploy.demo_model.faults import Answer
from deploy.demo_model.request import Request
from deploy.demo_model.script import Script

_BACKLOG = 4096
_CHAT = "/v1/chat/completions"
_EMBEDDINGS = "/v1/embeddings"
# Where a redirect leads; whoever follows it has handed its prompt to a stranger, and is booked under this path.
_ELSEWHERE = "/elsewhere"
_PATHS = (_CHAT, _EMBEDDINGS, responses.PATH)
_CALLED = frozenset((*_PATHS, *(_ELSEWHERE + path for path in _PATHS)))
_MODELS = ("demo", "gpt-4o-mini", "gpt-4o", "text-embedding-3-small", "text-embedding-3-large")
log = logging.getLogger(__name__)


class Server:
    """One model; `base_url` is known once it has started. Use it from its own loop only."""

    def __init__(self, *, log_file: Path | None = None, latency_ms: float = 0, seed: int = 0) -> None:
        self.calls = Calls(log_file)
        self.script = Script(latency_ms / 1000)
        self.responses = responses.Responses()
        self.buckets = buckets.Buckets()
        self.base_url = ""
        self._seed = seed
        # Ids stay unique across restarts, which the model's answers do not need to.
        self._prefix = f"chatcmpl-{secrets.token_hex(8)}"
        self._connections: set[Connection] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one."""
        self._loop = asyncio.get_running_loop()
        block = memoryview(bytearray(256 * 1024))
        self._listener = await self._loop.create_server(
            lambda: Connection(self, self._connections, block), host, port, backlog=_BACKLOG
        )
        port = self._listener.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.base_url = f"http://{shown}:{port}/v1"
        # The same machine under its other name: another origin, and still a witness.
        self._elsewhere = f"http://{'127.0.0.1' if host == 'localhost' else 'localhost'}:{port}{_ELSEWHERE}"

    async def stop(self) -> None:
        """Stop listening and hang up on everyone; calls in flight are booked as cut."""
        self._listener.close()
        self.responses.forget()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        self.calls.close()

    def receive(self, request: Request, connection: Connection) -> None:
        """Answer a request, or see to it that it is answered later."""
        try:
            if request.method == "POST" and request.path in _CALLED:
                self._call(request, connection)
            else:
                connection.write(self._other(request))
                connection.complete()
        except Exception:
            log.exception("answering failed path=%s", request.path)
            connection.abort()

    def _other(self, request: Request) -> bytes:
        if request.method == "GET" and request.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "demo"} for name in _MODELS]
            return response.document(200, {"object": "list", "data": listed})
        if (shown := self.responses.answer(request) or self.buckets.answer(request)) is not None:
            return shown
        try:
            answer = control.answer(request, self.calls, self.script)
        except Refused as error:
            return response.problem(400, str(error))
        return answer or response.problem(404, f"Invalid URL ({request.method} {request.path})", code="unknown_url")

    def _call(self, request: Request, connection: Connection) -> None:
        """Book a call, then answer it after the latency that it is to have."""
        try:
            body, fault = _read(request.body), None
        except Refused as error:
            body, fault = {}, error
        call = self.calls.arrive(request.path, body.get("model", ""), request.headers)
        exchange = Exchange(call, self.calls, connection, self._loop)
        fields = f"x-request-id: req_{call.call:08x}\r\n"
        try:
            if fault is not None:
                raise fault
            behaviour, send = self._answer(request, body, exchange, number=call.call, fields=fields)
        except Refused as error:
            exchange.send(response.problem(400, str(error), fields=fields), status=400)
            return
        if behaviour.latency_seconds:
            exchange.later(behaviour.latency_seconds, send)
        else:
            send()

    def _answer(
        self, request: Request, body: dict[str, Any], exchange: Exchange, *, number: int, fields: str
    ) -> tuple[Behaviour, Callable[[], None]]:
        """How to behave about a call, and what sends its answer. Raises Refused."""
        path = request.path.removeprefix(_ELSEWHERE)
        prompt = None if path == _EMBEDDINGS else prompts.read(_messages(path, body), self._seed)
        behaviour = self._behaviour(request, body, str(body.get("input")) if prompt is None else prompt.text)
        elsewhere = self._elsewhere + path

        def whole(written: bytes, status: int = 200, usage: dict[str, int] | None = None) -> Callable[[], None]:
            return lambda: faults.send(exchange, Answer(written, status, usage, elsewhere), behaviour)

        scripted = _scripted(behaviour, fields)
        if scripted is None and behaviour.limited:
            tokens = 0 if prompt is None else chat.reply(body, prompt, behaviour).usage["total_tokens"]
            verdict = self.buckets.take(body["model"], behaviour, tokens, now=self._loop.time(), fields=fields)
            exchange.on_ended, fields = verdict.end, verdict.fields
            if verdict.refusal is not None:
                behaviour, scripted = Behaviour(), (verdict.refusal, 429)
        if scripted is not None:
            return behaviour, whole(*scripted)
        if prompt is None:
            written, usage = embeddings.write(body, fields=fields)
            return behaviour, whole(written, usage=usage)
        if path == responses.PATH and behaviour.mode not in faults.MODES:
            answer = responses.reply(body, prompt, behaviour)
            return behaviour, lambda: self.responses.start(exchange, body, answer, behaviour, fields)
        said, identifier = chat.reply(body, prompt, behaviour), f"{self._prefix}{number:08x}"
        if body.get("stream") and (behaviour.pace_seconds or behaviour.mode in streams.MODES):
            texts = list(chat.chunks(body, said, identifier))
            streamed = streams.Streamed(response.events_head(fields=fields), texts, said.usage)
            return behaviour, lambda: streams.send(exchange, streamed, behaviour)
        return behaviour, whole(chat.write(body, said, identifier=identifier, fields=fields), usage=said.usage)

    def _behaviour(self, request: Request, body: dict[str, Any], text: str) -> Behaviour:
        headers = request.headers
        chosen = self.script.choose(
            text,
            model=body["model"],
            execution=headers.get("x-strata-execution"),
            layer=headers.get("x-strata-layer"),
        )
        # Who has followed a redirect gets a good answer: that it came here at all is what counts.
        return Behaviour() if chosen.mode == "redirect" and request.path.startswith(_ELSEWHERE) else chosen


def _scripted(behaviour: Behaviour, fields: str) -> tuple[bytes, int] | None:
    """The answer that a behaviour has word for word, and its status; None where it has none."""
    if behaviour.body is not None:
        status = behaviour.status or 200
        return response.whole(status, behaviour.body.encode(errors="replace"), fields=fields), status
    if behaviour.status is not None and behaviour.status != 200:
        return faults.problem(behaviour, fields=fields), behaviour.status
    return None


def _messages(path: str, body: dict[str, Any]) -> Any:
    return responses.messages(body) if path == responses.PATH else body.get("messages")


def _read(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("we could not parse the JSON body of your request") from error
    if not isinstance(body, dict):
        raise Refused("the body must be a JSON object")
    if not isinstance(body.get("model"), str):
        raise Refused("you must provide a model parameter")
    return body
