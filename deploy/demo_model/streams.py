"""A streamed answer sent piece by piece over time, and the ways it can go wrong between its pieces."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.demo_model import response
from deploy.demo_model.behaviour import Behaviour
from deploy.demo_model.exchange import Exchange

MODES = frozenset(("cut_stream", "garbage_chunk", "error_chunk", "endless_stream", "no_finish"))
#: Endless, yet the machine stays usable.
_ENDLESS_PAUSE_SECONDS = 0.002
_FAILED = {
    "error": {"message": "the demo model was asked to fail", "type": "server_error", "param": None, "code": None}
}
_ENDLESS = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "and so on "}}]}


@dataclass(slots=True)
class Streamed:
    """The pieces of an answer, each a server-sent event's text, and the tokens of the whole."""

    head: bytes
    texts: Sequence[str]
    usage: dict[str, int] | None


def send(exchange: Exchange, answer: Streamed, behaviour: Behaviour) -> None:
    """Send the pieces at the behaviour's pace; half of them where its mode is a fault of streams, then the fault."""
    mode, pace = behaviour.mode, behaviour.pace_seconds
    texts = answer.texts[: max(2, len(answer.texts) // 2)] if mode in MODES else answer.texts
    left = iter(texts)

    def go_on() -> None:
        text = next(left, None)
        if text is not None:
            exchange.go_on(response.event(text), go_on, after_seconds=pace)
        elif mode == "endless_stream":
            more = response.event(json.dumps(_ENDLESS))
            exchange.go_on(more, go_on, after_seconds=max(pace, _ENDLESS_PAUSE_SECONDS))
        elif mode == "cut_stream":
            exchange.hang_up()
        else:
            exchange.conclude(_end(mode))

    exchange.begin(answer.head, status=200, usage=None if mode in MODES else answer.usage)
    go_on()


def _end(mode: str | None) -> bytes:
    done = response.event("[DONE]") + response.LAST_CHUNK
    match mode:
        case "garbage_chunk":
            return response.event('{"choices": [{"delta": {"content": "it stops in') + done
        case "error_chunk":
            return response.event(json.dumps(_FAILED)) + done
        case "no_finish":
            # Well ended on the wire, and yet not whole.
            return response.LAST_CHUNK
    return done
