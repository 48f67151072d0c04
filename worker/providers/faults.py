"""What went wrong at a provider, as one of our reason codes, and whether asking again can help.

A provider's `error.code` says more than its status: a spent balance comes with the 429 of a rate limit, and is never
cured by a retry. The codes are OpenAI's (https://platform.openai.com/docs/guides/error-codes), and those that servers
with its wire use beside them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from shared.errors import LayerFailed
from shared.plan import Usage
from worker.providers.response import TooLarge

#: Keys of fewer characters are words that any text may have.
SECRET_LENGTH = 8
_BILLING = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
)

_CODES = {
    **dict.fromkeys(_BILLING, "provider_quota"),
    "rate_limit_exceeded": "provider_rate_limited",
    "server_is_overloaded": "provider_overloaded",
    "overloaded_error": "provider_overloaded",
    "invalid_api_key": "provider_auth",
    "model_not_found": "provider_not_found",
    "context_length_exceeded": "provider_bad_request",
    "content_filter": "provider_refused",
    "content_policy_violation": "provider_refused",
}
_REASONS = {
    400: "provider_bad_request",
    401: "provider_auth",
    402: "provider_quota",
    403: "provider_forbidden",
    404: "provider_not_found",
    422: "provider_unprocessable",
    429: "provider_rate_limited",
    503: "provider_overloaded",
    529: "provider_overloaded",
}
_RETRIED = frozenset({408, 409})
#: Faults that another try may not meet; of the second kind one more try is enough.
_PASSING = frozenset({"provider_rate_limited", "provider_overloaded", "provider_timeout", "provider_unreachable"})
_RETRIED_ONCE = frozenset({"provider_garbage", "provider_empty"})
#: Another model may well answer after these.
_OTHERWISE = (
    _PASSING
    | _RETRIED_ONCE
    | {
        *("provider_error", "provider_quota", "provider_auth", "provider_forbidden", "provider_not_found"),
    }
)
#: As long as these last, no model answers to the key.
_OF_KEY = frozenset({"provider_quota", "provider_auth"})


class ProviderFault(LayerFailed):
    """A call that gave no answer.

    `retryable` says whether another may, `retry_after_seconds` when the provider wants it. `usage` is what the provider
    counted for the call all the same. `lost` is a call whose answer, if there was one, did not arrive whole. Whether it
    was `sent`, and the `headers` of its answer, are noted by who sends it.
    """

    def __init__(
        self,
        reason: str,
        text: str,
        *,
        retryable: bool | None = None,
        retry_after_seconds: float | None = None,
        usage: Usage | None = None,
        lost: bool = False,
    ) -> None:
        self.retryable = reason in _PASSING | _RETRIED_ONCE if retryable is None else retryable
        self.retry_after_seconds = retry_after_seconds
        self.usage = usage
        self.lost = lost
        self.sent = False
        self.headers: Mapping[str, str] = {}
        super().__init__(reason, text)

    @property
    def retryable_once(self) -> bool:
        """Whether one more try is all that it is worth."""
        return self.reason in _RETRIED_ONCE

    @property
    def falls_back(self) -> bool:
        """Whether another model may be asked instead."""
        return self.reason in _OTHERWISE

    @property
    def of_key(self) -> bool:
        """Whether it stands in the way of every call with the same key."""
        return self.reason in _OF_KEY

    def hide(self, secret: str) -> None:
        """Take a secret out of the text that is reported, in clear and as JSON has it; short ones are words."""
        if len(secret) < SECRET_LENGTH:
            return
        text = str(self)
        for written in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(written, "[key]")
        self.args = (text,)


def from_status(error: openai.APIStatusError) -> ProviderFault:
    """An answer with an error status; its body is kept as it came."""
    status = error.status_code
    text = error.response.text or f"the provider answered {status} without a body"
    reason = of_codes(error.body) or _REASONS.get(status, "provider_error")
    retryable = None if reason != "provider_error" else status in _RETRIED or status >= 500
    return ProviderFault(reason, text, retryable=retryable, retry_after_seconds=_retry_after(error.response.headers))


def of_codes(body: Any) -> str | None:
    """The reason that an error's own code gives, else its type; None where neither is known."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    found = (_CODES.get(name) for name in (error.get("code"), error.get("type")) if isinstance(name, str))
    return next((reason for reason in found if reason is not None), None)


def from_connection(error: openai.APIConnectionError, seconds: float) -> ProviderFault:
    """No whole answer: too late, too large, or the connection broke."""
    if isinstance(error.__cause__, TooLarge):
        return ProviderFault("provider_garbage", str(error.__cause__), retryable=False, lost=True)
    if isinstance(error, openai.APITimeoutError):
        return timed_out(seconds)
    return ProviderFault("provider_unreachable", str(error.__cause__ or error), lost=True)


def timed_out(seconds: float) -> ProviderFault:
    """The deadline came before the answer."""
    return ProviderFault("provider_timeout", f"the provider gave no whole answer in {seconds:.1f} s", lost=True)


def garbage(text: str) -> ProviderFault:
    """An answer with status 200 that is no chat completion."""
    return ProviderFault("provider_garbage", text)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if seconds >= 0:
            return seconds
    return _until(headers.get("retry-after", ""))


def _until(date: str) -> float | None:
    # RFC 9110 knows two forms: seconds, and a date.
    try:
        due = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (due - datetime.now(UTC)).total_seconds()) if due.tzinfo else None
