"""What went wrong at a provider, as one of our reason codes, and whether asking again can help.

The codes of 429 are OpenAI's (https://platform.openai.com/docs/guides/error-codes): a spent balance is told by its
`code`, shares the status with a rate limit, and is never cured by a retry.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import openai

from shared.errors import LayerFailed
from worker.providers.response import TooLarge

BILLING = frozenset({
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
})

_REASONS = {
    400: "provider_bad_request",
    401: "provider_auth",
    403: "provider_forbidden",
    404: "provider_not_found",
    422: "provider_unprocessable",
    429: "provider_rate_limited",
    503: "provider_overloaded",
}
_RETRIED = frozenset({408, 409, 429})


class ProviderFault(LayerFailed):
    """A call that gave no answer; `retryable` says whether another may, `retry_after_seconds` when."""

    def __init__(
        self,
        reason: str,
        text: str,
        *,
        retryable: bool,
        retry_after_seconds: float | None = None,
        usage: Any = None,
    ) -> None:
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason, text, usage=usage)


def from_status(error: openai.APIStatusError) -> ProviderFault:
    """An answer with an error status; its body is kept as it came."""
    status = error.status_code
    text = error.response.text or f"the provider answered {status} without a body"
    if status == 429 and _codes(error.body) & BILLING:
        return ProviderFault("provider_quota", text, retryable=False)
    return ProviderFault(
        _REASONS.get(status, "provider_error"),
        text,
        retryable=status in _RETRIED or status >= 500,
        retry_after_seconds=_retry_after(error),
    )


def from_connection(error: openai.APIConnectionError, seconds: float) -> ProviderFault:
    """No whole answer: too late, too large, or the connection broke."""
    if isinstance(error.__cause__, TooLarge):
        return ProviderFault("provider_garbage", str(error.__cause__), retryable=False)
    if isinstance(error, openai.APITimeoutError):
        return timed_out(seconds)
    return ProviderFault("provider_unreachable", str(error.__cause__ or error), retryable=True)


def timed_out(seconds: float) -> ProviderFault:
    """The deadline came before the answer."""
    return ProviderFault("provider_timeout", f"the provider gave no whole answer in {seconds:.1f} s", retryable=True)


def garbage(text: str) -> ProviderFault:
    """An answer with status 200 that is no chat completion."""
    return ProviderFault("provider_garbage", text, retryable=True)


def _codes(body: Any) -> set[str]:
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return set()
    return {str(error.get("code")), str(error.get("type"))}


def _retry_after(error: openai.APIStatusError) -> float | None:
    headers = error.response.headers
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
