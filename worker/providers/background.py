"""Answers that a provider makes in the background (OpenAI's responses API): asked for once, then fetched by their id.

Whoever has the id can fetch the answer: a worker that takes over goes on waiting where the dead one was, and nothing is
paid twice. It is written down before the wait begins.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import openai

from shared.errors import Stopped
from shared.plan import Usage
from worker.alarms import Alarms
from worker.calls import DEADLINE, Call
from worker.providers import chat, client, faults, transport
from worker.providers.asking import Reply, Request
from worker.providers.client import Client

logger = logging.getLogger(__name__)

PATH = "/responses"
#: The pause before the first look at an answer, how much longer each next one is, and the longest, in seconds.
FIRST_PAUSE_SECONDS = 0.5
PAUSE_GROWTH = 1.5
LONGEST_PAUSE_SECONDS = 5.0
#: How long one look may take, and how long a provider gets to take in that an answer is wanted no more, in seconds.
LOOK_SECONDS = 30.0
CANCEL_SECONDS = 5.0
_UNDER_WAY = frozenset({"queued", "in_progress"})
_UNKNOWN = {"status": "in_progress"}
#: What stops a run whose answer somebody else will fetch.
_GOES_ON = frozenset({"drain", "lost"})
#: Why an answer is incomplete, as a chat would have finished.
_FINISHES = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Background:
    """Asks for answers in the background, and waits for them."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    def ask(self, sender: Client, request: Request) -> Reply:
        """Ask for an answer and wait until it is made; ProviderFault, or the openai package's errors, without one."""
        found = sender.post(PATH, body=body(request), cast_to=object, options=_options(request))
        response_id = found.get("id") if isinstance(found, dict) else None
        if not isinstance(response_id, str):
            raise faults.garbage("the provider's answer is no response with an id")
        request.asking.books.attach(request.number, response_id)
        return self._wait(sender, request, response_id, found)

    def fetch(self, sender: Client, request: Request, response_id: str) -> Reply:
        """Wait for an answer that was asked for before; raises as above."""
        return self._wait(sender, request, response_id, None)

    def _wait(self, sender: Client, request: Request, response_id: str, found: object) -> Reply:
        run, until = request.asking.run, time.monotonic() + request.exchange.seconds
        pause = FIRST_PAUSE_SECONDS
        with self._cancelling(sender, request, response_id):
            while found is None or _status(found) in _UNDER_WAY:
                if found is not None:
                    run.stopping.wait(max(0.0, min(pause, until - time.monotonic())))
                    pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
                run.check()
                found = _looked(sender, request, response_id, until - time.monotonic())
        return read(found)

    @contextmanager
    def _cancelling(self, sender: Client, request: Request, response_id: str) -> Iterator[None]:
        try:
            yield
        except Stopped as stopped:
            if stopped.cause not in _GOES_ON:
                self._cancel(sender, request, response_id)
            raise
        except (faults.ProviderFault, openai.APIConnectionError):
            # Out of time, or cut by somebody who wants the run to stop; else the provider had the last word.
            if request.exchange.call.cut_by is not None and request.asking.run.cause not in _GOES_ON:
                self._cancel(sender, request, response_id)
            raise

    def _cancel(self, sender: Client, request: Request, response_id: str) -> None:
        """Tell the provider that an answer is wanted no more; nobody waits for that."""

        def cancel() -> None:
            call = Call()
            alarm = self._alarms.after(CANCEL_SECONDS, lambda: call.cut(DEADLINE))
            token = transport.exchange.set(transport.Exchange(call, CANCEL_SECONDS))
            try:
                sender.post(f"{_path(response_id)}/cancel", cast_to=object, options=_options(request))
            except (openai.APIError, ValueError) as error:
                logger.info("an answer in the background was not cancelled", extra={"cause": type(error).__name__})
            finally:
                transport.exchange.reset(token)
                alarm.cancel()

        threading.Thread(target=cancel, name="cancels an answer", daemon=True).start()


def body(request: Request) -> dict[str, Any]:
    """The request's body: the one of a chat in the responses API's words."""
    found = chat.body(request.question, request.line.target, request.max_tokens)
    renamed = {"messages": "input", "max_tokens": "max_output_tokens"}
    asked = {renamed.get(name, name): value for name, value in found.items() if name != "response_format"}
    if "response_format" in found:
        asked["text"] = {"format": _format(found["response_format"])}
    return {**asked, "background": True, "store": True}


def read(found: object) -> Reply:
    """Read a response that has ended; ProviderFault where it is no answer, is cut short, or is a refusal."""
    if not isinstance(found, dict):
        raise faults.garbage("the provider's answer is no JSON object")
    status = _status(found)
    counted = _usage(found.get("usage"))
    if status not in ("completed", "incomplete"):
        raise _failed(status, found.get("error"), counted)
    details = found.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    response_id = found.get("id")
    return chat.reply(
        _said(found, "output_text", "text"),
        refusal=_said(found, "refusal", "refusal"),
        finish_reason="stop" if status == "completed" else _FINISHES.get(str(reason), "length"),
        usage=counted,
        response_id=response_id if isinstance(response_id, str) else None,
        told=chat.counted(found.get("usage")),
    )


def _looked(sender: Client, request: Request, response_id: str, seconds: float) -> object:
    """The response as it is now; as one that is under way where the provider could not say."""
    # A look that hangs is given up before the wait is; the alarm of the whole call cuts it at the deadline.
    request.exchange.seconds = max(0.001, min(seconds, LOOK_SECONDS))
    try:
        found: object = sender.get(_path(response_id), cast_to=object, options=_options(request))
    except openai.APIStatusError as error:
        if (fault := _final(error)) is not None:
            raise fault from error
    except (openai.APIConnectionError, ValueError):
        if request.exchange.call.cut_by is not None:
            raise
    else:
        if isinstance(found, dict):
            return found
    return _UNKNOWN


def _final(error: openai.APIStatusError) -> faults.ProviderFault | None:
    """The fault that ends the wait; None where the next look may be luckier."""
    fault = faults.from_status(error)
    if fault.reason == "provider_not_found":
        text = f"the provider has forgotten the answer that it was to make: {fault}"
        return faults.ProviderFault(fault.reason, text, retryable=True, lost=True)
    fault.lost = True
    return None if fault.retryable else fault


def _failed(status: str, error: Any, counted: Usage | None) -> faults.ProviderFault:
    reason = faults.of_codes(error) or "provider_error"
    text = json.dumps(error, ensure_ascii=False) if error else f"the provider left the answer as {status or 'nothing'}"
    return faults.ProviderFault(
        reason, text, retryable=True if reason == "provider_error" else None, usage=counted, lost=counted is None
    )


def _status(found: object) -> str:
    return str(found.get("status")) if isinstance(found, dict) else ""


def _said(found: Mapping[str, Any], kind: str, name: str) -> str | None:
    """The texts of one kind in a response's messages, None where there is none."""
    output = found.get("output")
    messages = [each for each in output if isinstance(each, dict)] if isinstance(output, list) else []
    parts = [part for each in messages for part in _parts(each) if part.get("type") == kind]
    texts = [part[name] for part in parts if isinstance(part.get(name), str)]
    return "".join(texts) if texts else None


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _usage(found: object) -> Usage | None:
    if not isinstance(found, dict):
        return None
    named = {"prompt_tokens": found.get("input_tokens"), "completion_tokens": found.get("output_tokens")}
    return chat.usage({**named, "total_tokens": found.get("total_tokens")})


def _format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    if wanted.get("type") != "json_schema":
        return dict(wanted)
    return {"type": "json_schema", **wanted["json_schema"]}


def _path(response_id: str) -> str:
    return f"{PATH}/{quote(response_id, safe='')}"


def _options(request: Request) -> Any:
    return {"headers": client.headers(request.line.credential.key, request.asking.headers)}
