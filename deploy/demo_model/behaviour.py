"""How one call is to be treated: slowly, with an error, with a fault, with a scripted answer, or well."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from deploy.demo_model.errors import Refused

# Wrong on the wire, inside a well-sent answer, inside a stream, and with an answer that is made in the background.
MODES = frozenset((
    *("silent", "drip", "endless", "truncated", "reset", "html", "huge", "redirect"),
    *("no_choices", "null_content", "refusal", "length", "content_filter", "nan", "bad_json", "no_usage"),
    *("cut_stream", "garbage_chunk", "error_chunk", "endless_stream", "no_finish"),
    *("failed", "forgotten", "unsteady"),
))
# What OpenAI sends with these codes: status and error type (its error guide; the code decides, the type varies).
KNOWN_CODES = {
    "insufficient_quota": (429, "insufficient_quota"),
    "credit_balance_exhausted": (429, "insufficient_quota"),
    "organization_spend_limit_exceeded": (429, "insufficient_quota"),
    "project_spend_limit_exceeded": (429, "insufficient_quota"),
    "organization_usage_limit_exceeded": (429, "insufficient_quota"),
    "rate_limit_exceeded": (429, "requests"),
    "slow_down": (429, "rate_limit_error"),
    "server_is_overloaded": (503, "service_unavailable_error"),
    "model_not_found": (404, "invalid_request_error"),
    "invalid_api_key": (401, "invalid_request_error"),
    "context_length_exceeded": (400, "invalid_request_error"),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One treatment; None leaves the default. `times` bounds how often it applies, `size` is in bytes.

    Beyond `requests` or `tokens` in a window, or so many calls `in_flight`, calls of its model are refused. A stream
    waits for `pace_seconds` between its pieces; an answer in the background is made for `duration_seconds`. `calls` are
    functions that it calls, with their arguments as JSON, or None for made up ones: once for each question of a user,
    or `always`. Of its tokens so many were `cached`, and so many of `reasoning`.
    """

    latency_seconds: float | None = None
    pace_seconds: float = 0.0
    duration_seconds: float = 0.0
    status: int | None = None
    code: str | None = None
    retry_after: str | None = None
    mode: str | None = None
    size: int = 300_000_000
    times: int | None = None
    requests: int | None = None
    tokens: int | None = None
    window_seconds: float = 60.0
    in_flight: int | None = None
    answer: str | None = None
    body: str | None = None
    calls: tuple[tuple[str, str | None], ...] = ()
    always: bool = False
    cached: int | None = None
    reasoning: int | None = None

    @property
    def limited(self) -> bool:
        """Whether it has limits of its own."""
        return not self.requests is self.tokens is self.in_flight is None


def read(settings: Mapping[str, Any]) -> Behaviour:
    """A behaviour from what a rule or a name says: `latency_ms`, `status`, `mode`, `times`, and so on.

    Raises Refused for any other name and for values that make no sense.
    """
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in _SETTINGS:
            raise Refused(f"unknown directive {name!r}")
        field, convert = _SETTINGS[name]
        try:
            values[field] = convert(value)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise Refused(f"directive {name!r} cannot be {value!r}") from error
    if (code := values.get("code")) and "status" not in values:
        values["status"] = KNOWN_CODES.get(code, (400, ""))[0]
    if "tool_calls" in settings:
        values["always"] = True
    return Behaviour(**values)


@lru_cache(maxsize=4096)
def from_model(name: str) -> Behaviour:
    """The directives in a model's name: `demo:status=429,times=2`. Raises Refused.

    Parts without `=` are left alone: they are tags of ordinary names, such as `llama3:8b`.
    """
    parts = [part.partition("=") for part in name.partition(":")[2].split(",") if "=" in part]
    settings = {key.strip(): value.strip() for key, _, value in parts}
    for key in ("answer", "body", "tool_calls"):
        if key in settings:
            raise Refused(f"directive {key!r} does not fit into a name: script it")
    for key in ("latency", "pace", "duration"):
        if key in settings:
            settings[f"{key}_ms"] = settings.pop(key)
    return read(settings)


def _seconds(milliseconds: Any) -> float:
    seconds = float(milliseconds) / 1000
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError
    return seconds


def _status(value: Any) -> int:
    status = int(value)
    if not 200 <= status <= 599:
        raise ValueError
    return status


def _count(value: Any) -> int:
    count = int(value)
    if count < 0:
        raise ValueError
    return count


def _window(value: Any) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError
    return seconds


def _mode(value: Any) -> str:
    if value not in MODES:
        raise ValueError
    return str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _named(value: Any) -> tuple[tuple[str, str | None], ...]:
    return tuple((name, None) for name in str(value).split("+"))


def _calls(value: Any) -> tuple[tuple[str, str | None], ...]:
    return tuple((str(each["name"]), _given(each.get("arguments"))) for each in value)


def _given(arguments: Any) -> str | None:
    return None if arguments is None else _text(arguments)


def _line(value: Any) -> str:
    # It goes into a header or an error's code: a line end would forge headers.
    text = _text(value)
    if not text.isprintable():
        raise ValueError
    return text


_SETTINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "latency_ms": ("latency_seconds", _seconds),
    "pace_ms": ("pace_seconds", _seconds),
    "duration_ms": ("duration_seconds", _seconds),
    "status": ("status", _status),
    "code": ("code", _line),
    "retry_after": ("retry_after", _line),
    "mode": ("mode", _mode),
    "bytes": ("size", _count),
    "times": ("times", _count),
    "requests": ("requests", _count),
    "tokens": ("tokens", _count),
    "window_seconds": ("window_seconds", _window),
    "in_flight": ("in_flight", _count),
    "answer": ("answer", _text),
    "body": ("body", _text),
    "tools": ("calls", _named),
    "tool_calls": ("calls", _calls),
    "cached": ("cached", _count),
    "reasoning": ("reasoning", _count),
}
