"""The model as a server: listens, sends each request where it belongs, answers calls as the script says."""

import asyncio
import json
import logging
import secrets
from pathlib import Path
from typing import Any

from deploy.demo_model import chat, control, embeddings, faults, response
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
_CALLED = frozenset((_CHAT, _EMBEDDINGS, _ELSEWHERE + _CHAT, _ELSEWHERE + _EMBEDDINGS))
_MODELS = ("demo", "gpt-4o-mini", "gpt-4o", "text-embedding-3-small", "text-embedding-3-large")
log = logging.getLogger(__name__)


class Server:
    """One model; `base_url` is known once it has started. Use it from its own loop only."""

    def __init__(self, *, log_file: Path | None = None, latency_ms: float = 0, seed: int = 0) -> None:
        self.calls = Calls(log_file)
        self.script = Script(latency_ms / 1000)
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
            behaviour, answer = self._answer(request, body, number=call.call, fields=fields)
        except Refused as error:
            exchange.send(response.problem(400, str(error), fields=fields), status=400)
            return
        if behaviour.latency_seconds:
            exchange.later(behaviour.latency_seconds, lambda: faults.send(exchange, answer, behaviour))
        else:
            faults.send(exchange, answer, behaviour)

    def _answer(self, request: Request, body: dict[str, Any], *, number: int, fields: str) -> tuple[Behaviour, Answer]:
        """What to answer and how to behave about it. Raises Refused."""
        headers = request.headers
        prompt = None if request.path.endswith(_EMBEDDINGS) else prompts.read(body.get("messages"), self._seed)
        behaviour = self.script.choose(
            str(body.get("input")) if prompt is None else prompt.text,
            model=body["model"],
            execution=headers.get("x-strata-execution"),
            layer=headers.get("x-strata-layer"),
        )
        elsewhere = self._elsewhere + request.path.removeprefix(_ELSEWHERE)
        # Who has followed a redirect gets a good answer: that it came here at all is what counts.
        if behaviour.mode == "redirect" and request.path.startswith(_ELSEWHERE):
            behaviour = Behaviour()
        if behaviour.body is not None:
            status = behaviour.status or 200
            return behaviour, Answer(
                response.whole(status, behaviour.body.encode(errors="replace"), fields=fields), status, None, elsewhere
            )
        if behaviour.status is not None and behaviour.status != 200:
            return behaviour, Answer(faults.problem(behaviour, fields=fields), behaviour.status, None, elsewhere)
        if prompt is None:
            written, usage = embeddings.write(body, fields=fields)
        else:
            said = chat.reply(body, prompt, behaviour)
            written, usage = chat.write(body, said, identifier=f"{self._prefix}{number:08x}", fields=fields), said.usage
        return behaviour, Answer(written, 200, usage, elsewhere)


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
