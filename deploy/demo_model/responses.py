"""The Responses API: an answer whole, or made in the background and fetched by its id from wherever one likes.

A background answer is one call from its start to its end, however often it is asked for meanwhile.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.demo_model import chat, response
from deploy.demo_model import prompt as prompts
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.chat import Reply
from deploy.demo_model.errors import Refused
from deploy.demo_model.exchange import Exchange
from deploy.demo_model.request import Request

PATH = "/v1/responses"
#: How much of its time an answer is in the queue.
_QUEUED_PART = 0.2
#: How often an unsteady one is asked for in vain.
_FAILED_POLLS = 2


@dataclass(slots=True)
class _Kept:
    """One answer that can be asked for, and what ends its call."""

    body: dict[str, Any]
    said: Reply
    behaviour: Behaviour
    started_at: float
    end: Callable[..., None] | None = None
    timer: asyncio.TimerHandle | None = None
    cancelled: bool = False
    polls: int = 0


class Responses:
    """The answers that are being made, and those that were stored."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def start(self, exchange: Exchange, body: dict[str, Any], said: Reply, behaviour: Behaviour, fields: str) -> None:
        """Answer a request whole, or with a background answer's first state."""
        loop = asyncio.get_running_loop()
        name, kept = f"resp_{secrets.token_hex(16)}", _Kept(body, said, behaviour, loop.time())
        if body.get("store", True):
            self._kept[name] = kept
        if not body.get("background"):
            written = response.document(200, _written(name, kept, _final(kept)), fields=fields)
            exchange.send(written, status=200, usage=said.usage)
            return
        written = response.document(200, _written(name, kept, "queued"), fields=fields)
        kept.end = exchange.go_on_without(written, status=200)
        kept.timer = loop.call_later(behaviour.duration_seconds, self._finish, kept)

    def answer(self, request: Request) -> bytes | None:
        """Show or cancel an answer; None for another path or method.

        `GET /_responses` says how often each was asked for (`{"polls": […]}`), `DELETE /_responses` forgets them all.
        """
        if request.path == "/_responses":
            return self._controlled(request.method)
        name, _, verb = request.path.removeprefix(f"{PATH}/").partition("/")
        if not request.path.startswith(f"{PATH}/") or (request.method, verb) not in (("GET", ""), ("POST", "cancel")):
            return None
        kept = self._kept.get(name)
        if kept is None or kept.behaviour.mode == "forgotten":
            return response.problem(404, f"Response with id '{name}' not found.")
        if verb == "cancel":
            if not kept.body.get("background"):
                return response.problem(400, "Cannot cancel a synchronous response.")
            self._cancel(kept)
        else:
            kept.polls += 1
            if kept.behaviour.mode == "unsteady" and kept.polls <= _FAILED_POLLS:
                return response.problem(500, "the demo model was asked to fail")
        return response.document(200, _written(name, kept, self._status(kept)))

    def polls(self) -> list[int]:
        """How often each answer that is kept was asked for."""
        return [kept.polls for kept in self._kept.values()]

    def forget(self) -> None:
        """Know no answer any more; those that are being made are cut."""
        for kept in self._kept.values():
            self._cancel(kept)
        self._kept.clear()

    def _controlled(self, method: str) -> bytes | None:
        if method == "DELETE":
            self.forget()
        return response.document(200, {"polls": self.polls()}) if method in ("GET", "DELETE") else None

    def _status(self, kept: _Kept) -> str:
        if kept.cancelled:
            return "cancelled"
        if kept.end is None:
            return _final(kept)
        age = asyncio.get_running_loop().time() - kept.started_at
        return "queued" if age < _QUEUED_PART * kept.behaviour.duration_seconds else "in_progress"

    def _finish(self, kept: _Kept) -> None:
        if kept.end is not None:
            kept.end(usage=None if kept.behaviour.mode == "failed" else kept.said.usage)
            kept.end = None

    def _cancel(self, kept: _Kept) -> None:
        if kept.end is not None and kept.timer is not None:
            kept.timer.cancel()
            kept.cancelled = True
            kept.end(usage=None, cut=True)
            kept.end = None


def messages(body: dict[str, Any]) -> list[Any]:
    """What is asked, as a chat's messages. Raises Refused."""
    found = body.get("input")
    asked = [{"role": "user", "content": found}] if isinstance(found, str) else found
    if not isinstance(asked, list) or not asked:
        raise Refused("missing required parameter: 'input'")
    instructions = body.get("instructions")
    return [*([{"role": "system", "content": instructions}] if instructions else []), *asked]


def reply(body: dict[str, Any], prompt: prompts.Prompt, behaviour: Behaviour) -> Reply:
    """Say something to a request's input, in the format that it asks for. Raises Refused."""
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        if not isinstance(wanted.get("name"), str):
            raise Refused("missing required parameter: 'text.format.name'")
        wanted = {"type": "json_schema", "json_schema": wanted}
    return chat.reply({**body, "response_format": wanted}, prompt, behaviour)


def _final(kept: _Kept) -> str:
    if kept.behaviour.mode == "failed":
        return "failed"
    return "completed" if kept.said.finish_reason == "stop" else "incomplete"


def _written(name: str, kept: _Kept, status: str) -> dict[str, Any]:
    said = kept.said
    ended = status in ("completed", "incomplete")
    reason = "max_output_tokens" if said.finish_reason == "length" else "content_filter"
    failure = {"code": "server_error", "message": "the demo model was asked to fail"}
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": bool(kept.body.get("background")),
        "error": failure if status == "failed" else None,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        "model": kept.body["model"],
        "output": _output(name, said, status) if ended and said.chosen else [],
        "usage": _usage(said.usage) if ended and said.counted else None,
        "store": bool(kept.body.get("store", True)),
    }


def _output(name: str, said: Reply, status: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if said.content is not None:
        content.append({"type": "output_text", "text": said.content, "annotations": []})
    if said.refusal is not None:
        content.append({"type": "refusal", "refusal": said.refusal})
    thought: dict[str, Any] = {"id": name.replace("resp", "rs"), "type": "reasoning", "summary": []}
    message = {"type": "message", "status": status, "role": "assistant", "content": content}
    return [thought, {"id": name.replace("resp", "msg"), **message}]


def _usage(counted: dict[str, int]) -> dict[str, Any]:
    return {
        "input_tokens": counted["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": counted["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counted["total_tokens"],
    }
