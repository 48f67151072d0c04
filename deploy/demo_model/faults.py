"""The ways an answer can go wrong on the wire; what goes wrong inside a well-sent answer is in `chat`."""

from collections.abc import Callable
from dataclasses import dataclass

from deploy.demo_model import response
from deploy.demo_model.behaviour import KNOWN_CODES, Behaviour
from deploy.demo_model.exchange import Exchange

#: The modes that are told here.
MODES = frozenset(("silent", "drip", "endless", "huge", "truncated", "reset", "html", "redirect"))
_DRIP_SECONDS = 0.5
_PIECE = b"x" * (64 * 1024)
# About 30 MB/s: endless, yet the machine stays usable.
_ENDLESS_PAUSE_SECONDS = 0.002
_HTML = b"<!doctype html>\n<html><head><title>Please wait</title></head><body><h1>Please wait</h1></body></html>\n"
_USUAL_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 503: "server_is_overloaded"}


@dataclass(slots=True)
class Answer:
    """The bytes that a call would get if nothing went wrong on the wire; `elsewhere` is a URL of another origin."""

    written: bytes
    status: int
    usage: dict[str, int] | None
    elsewhere: str


def problem(behaviour: Behaviour, *, fields: str) -> bytes:
    """The error that a behaviour with a status asks for, with its Retry-After."""
    assert behaviour.status is not None
    code = behaviour.code or _USUAL_CODES.get(behaviour.status)
    kind = KNOWN_CODES[code][1] if code in KNOWN_CODES else None
    if behaviour.retry_after is not None:
        fields += f"Retry-After: {behaviour.retry_after}\r\n"
    message = f"the demo model was asked to fail with {behaviour.status}"
    return response.problem(behaviour.status, message, code=code, kind=kind, fields=fields)


def send(exchange: Exchange, answer: Answer, behaviour: Behaviour) -> None:
    """Send an answer, or spoil it as the behaviour's mode says."""

    def whole() -> None:
        exchange.send(answer.written, status=answer.status, usage=answer.usage)

    if behaviour.mode is None:
        whole()
        return
    ways: dict[str, Callable[[], None]] = {
        # The call ends when its client gives up.
        "silent": lambda: None,
        "drip": lambda: _drip(exchange, answer),
        "endless": lambda: _endless(exchange),
        "huge": lambda: _huge(exchange, behaviour.size),
        "truncated": lambda: _truncated(exchange, answer),
        "reset": lambda: exchange.hang_up(reset=True),
        "html": lambda: _html(exchange),
        "redirect": lambda: _redirect(exchange, answer),
    }
    ways.get(behaviour.mode, whole)()


def _drip(exchange: Exchange, answer: Answer) -> None:
    head_end = answer.written.index(b"\r\n\r\n") + 4
    rest = iter(answer.written[head_end:])

    def drop() -> None:
        byte = next(rest, None)
        if byte is None:
            exchange.finish()
        else:
            exchange.go_on(bytes((byte,)), drop, after_seconds=_DRIP_SECONDS)

    exchange.begin(answer.written[:head_end], status=answer.status)
    exchange.later(_DRIP_SECONDS, drop)


def _endless(exchange: Exchange) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE)

    def pour() -> None:
        exchange.go_on(chunk, pour, after_seconds=_ENDLESS_PAUSE_SECONDS)

    exchange.begin(response.head(200, f"Content-Type: {response.JSON}\r\nTransfer-Encoding: chunked\r\n"), status=200)
    pour()


def _huge(exchange: Exchange, size: int) -> None:
    """Good JSON of the wanted size, made of pieces so that only the client has to hold it."""
    start = (
        b'{"id":"chatcmpl-huge","object":"chat.completion","created":0,"model":"demo",'
        b'"choices":[{"index":0,"message":{"role":"assistant","content":"'
    )
    end = b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
    left = max(0, size - len(start) - len(end))
    length = len(start) + left + len(end)

    def pour() -> None:
        nonlocal left
        if left == 0:
            exchange.go_on(end, exchange.finish)
            return
        amount = min(left, len(_PIECE))
        left -= amount
        exchange.go_on(_PIECE[:amount], pour)

    exchange.begin(
        response.head(200, f"Content-Type: {response.JSON}\r\nContent-Length: {length}\r\n") + start, status=200
    )
    pour()


def _truncated(exchange: Exchange, answer: Answer) -> None:
    head_end = answer.written.index(b"\r\n\r\n") + 4
    exchange.begin(answer.written[: (head_end + len(answer.written)) // 2], status=answer.status)
    exchange.hang_up()


def _html(exchange: Exchange) -> None:
    exchange.send(response.whole(200, _HTML, content_type="text/html; charset=utf-8"), status=200)


def _redirect(exchange: Exchange, answer: Answer) -> None:
    exchange.send(response.whole(307, b"", fields=f"Location: {answer.elsewhere}\r\n"), status=307)
