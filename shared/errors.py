"""Every error of ours, one tree; a class exists only because some caller acts on it.

StrataError
├── Invalid            the caller's values are wrong; names every fault
│   └── Malformed      the body cannot be read at all
├── Unauthorized       no key, or none that is good
├── Forbidden          a good key without the scope
├── NotFound
├── Conflict
├── KeyReused          an idempotency key that stands for another request
├── Repeated           an idempotency key whose first request has just been accepted
├── TooMany            a limit on the way in is reached; come again later
├── Gone               it was here; its content has expired
├── TooLarge, UnsupportedMediaType
├── Unavailable        Postgres is away; come again
│   └── OutcomeUnknown a commit whose answer was lost
├── SealBroken         a secret that cannot be opened here
├── Fenced             this worker has lost its claim
├── Stopped            this execution must stop here: cancelled, deadline, drain
├── LayerFailed        a layer has no answer, and why
└── Parked             a layer must wait for its provider, and frees its slot meanwhile
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong, and where: `properties[1].layers[0].prompt`, `inputs.movie`."""

    field: str
    message: str
    code: Literal["invalid", "missing", "unknown", "duplicate"] = "invalid"


class StrataError(Exception):
    """Base of every error that Strata raises itself."""


class Invalid(StrataError):
    """Values that break their rules."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in self.faults))


class Malformed(Invalid):
    """A body that cannot be read, so nothing in it was looked at."""


class Unauthorized(StrataError):
    """No key, or one that is unknown, expired or revoked; which of them is not told."""


class Forbidden(StrataError):
    """The key is good and lacks a scope."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"this key lacks the scope {scope}")


class NotFound(StrataError):
    """What is named does not exist for this organization."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        super().__init__(f"{noun} not found")


class Conflict(StrataError):
    """It cannot be done in the state that things are in."""


class KeyReused(StrataError):
    """An idempotency key that stands for a request with another method, path or body."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request")


class Repeated(StrataError):
    """Another request with the same idempotency key came first, and its execution stands for both."""


class TooMany(StrataError):
    """A limit of the organization or the key is reached; `retry_after_seconds` says when to come again."""

    def __init__(self, text: str, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(text)


class Gone(StrataError):
    """The content has expired; `tombstone` is what is still known, as JSON values."""

    def __init__(self, tombstone: dict[str, object]) -> None:
        self.tombstone = tombstone
        super().__init__("the results of this execution have expired")


class TooLarge(StrataError):
    """A body over its limit in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"the body is larger than {limit_bytes} bytes")


class UnsupportedMediaType(StrataError):
    """A body of a content type, or content encoding, that is not read here."""


class Unavailable(StrataError):
    """Postgres cannot be reached, or has no connection free in time."""

    retry_after_seconds = 2


class OutcomeUnknown(Unavailable):
    """The connection broke during COMMIT: the change may or may not be there."""


class SealBroken(StrataError):
    """A sealed secret that was sealed with another key, for something else, or was changed since."""


class Fenced(StrataError):
    """The claim is lost: another attempt owns the execution, or it has ended."""


class Stopped(StrataError):
    """The execution must stop here; `cause` is `cancelled`, `deadline`, `drain` or `lost`."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"stopped: {cause}")


class LayerFailed(StrataError):
    """A layer has no answer.

    `reason` is one of the documented reason codes; the text is what the report shows: the provider's body verbatim
    where the provider answered, else a sentence of ours. `calls` are the `plan.Call`s that were sent all the same.
    """

    def __init__(self, reason: str, text: str, *, calls: tuple[Any, ...] = ()) -> None:
        self.reason = reason
        self.calls = calls
        super().__init__(text)


class Parked(StrataError):
    """A layer must wait longer than is worth a slot, for a provider's budget or a pause; nothing of it has failed.

    `seconds` says for how long, `calls` the `plan.Call`s that were sent for it before.
    """

    def __init__(self, seconds: float, *, calls: tuple[Any, ...] = ()) -> None:
        self.seconds = seconds
        self.calls = calls
        super().__init__(f"to be taken up again in {seconds:.1f} s")
