"""Structured logs: one JSON object a line, with the ids of the request, execution and attempt at hand.

Never a prompt, input, answer or key: events carry ids only, an exception is told by its class and frames, and its
message only where no user's text can be in it.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import redis
from sqlalchemy import exc

_ids: ContextVar[dict[str, Any] | None] = ContextVar("log_ids", default=None)
_hides: ContextVar[Callable[[str], str] | None] = ContextVar("log_hides", default=None)
_SAFE = (OSError, redis.RedisError, exc.OperationalError, exc.TimeoutError)
_SECRETS = re.compile(
    r"(?<=://)[^\s/@]*:[^\s/@]+(?=@)|\b(?:sk-|strata_|whsec_)[A-Za-z0-9_-]{6,}|(?<=earer )[A-Za-z0-9._~+/=-]{8,}"
)
_JSON = json.JSONEncoder(default=str)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str) -> None:
    """Send every log of the process to standard error as JSON lines."""
    # No line tells these, and the look for a line's caller costs as much as its JSON; logging's manual says how.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # What these say at INFO is one line a message, a request or a permit.
    for chatty in ("httpx2", "httpcore2", "openai", "kombu", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


@contextmanager
def context(**ids: Any) -> Iterator[None]:
    """Add ids to every line logged inside the block by this thread."""
    token = _ids.set({**(_ids.get() or {}), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


@contextmanager
def hiding(hide: Callable[[str], str]) -> Iterator[None]:
    """Have every line that this thread logs inside the block go through a function, which takes secrets out of it."""
    token = _hides.set(hide)
    try:
        yield
    finally:
        _hides.reset(token)


def redact(text: str) -> str:
    """Blank what looks like a key or a password in a URL."""
    return _SECRETS.sub("***", text)


class Formatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger, event, the ids at hand, and the record's own extra fields."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage()[:2000],
            **(_ids.get() or {}),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _described(record.exc_info[1])
        # The whole line, so that a field of a library's making is covered too.
        text = redact(_JSON.encode(line))
        hide = _hides.get()
        return hide(text) if hide else text


def _described(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    described: dict[str, Any] = {
        "class": type(error).__name__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, _SAFE):
        described["message"] = str(error).splitlines()[0][:500] if str(error) else ""
    state = getattr(getattr(error, "orig", None), "pgcode", None)
    if state:
        described["sqlstate"] = state
    return described
